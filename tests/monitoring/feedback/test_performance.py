"""Figures of labelled predictions are those of scikit-learn; intervals cover what they should."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn import metrics

from penstock.monitoring.feedback.estimate import calibrate, estimated_accuracy
from penstock.monitoring.feedback.label import Label
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.report import Span, performance

NOW = 1_700_000_000.0
ALL = Span(NOW - 1e6, NOW + 1e6, 86_400.0)


def judged(keep, batch, directory, outputs, truth, options=None):
    """Figures after labels for all rows."""
    store = keep(options)
    ids = [f"r{n}" for n in range(len(truth))]
    store.take([batch(ids, outputs)])
    store.tick(NOW)
    store.feedback([Label(i, t, NOW) for i, t in zip(ids, truth, strict=True)], NOW)
    (found,) = performance(directory, "m", ALL)["versions"]
    return found


def values(found):
    return {name: one["value"] for name, one in found["figures"].items()}


def softmax(logits):
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def test_losses_that_a_rare_class_decides_have_no_interval(keep, batch, tmp_path):
    """One row in 1,000 loses 700 times more than the others: no interval knows how many come."""
    scores = np.full((1500, 2), (0.99, 0.01), np.float32)
    outputs = {"label": np.zeros(1500, int), "probabilities": scores}
    truth = [0] * 1500
    truth[7] = 1
    figures = judged(keep, batch, tmp_path, outputs, truth)["figures"]
    for name in ("log_loss", "brier"):
        assert figures[name]["value"] > 0
        assert figures[name]["low"] is None
    assert figures["accuracy"]["low"] is not None


def test_two_classes(keep, batch, tmp_path):
    rng = np.random.default_rng(1)
    scores = softmax(rng.normal(size=(3000, 2))).astype(np.float32)
    truth = (rng.random(3000) < scores[:, 1]).astype(int)
    outputs = {"label": scores.argmax(axis=1), "probabilities": scores}
    found = judged(keep, batch, tmp_path, outputs, truth.tolist())
    told = values(found)
    predicted = scores.argmax(axis=1)
    assert told["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))
    assert told["log_loss"] == pytest.approx(metrics.log_loss(truth, scores), rel=1e-5)
    assert told["brier"] == pytest.approx(metrics.brier_score_loss(truth, scores[:, 1]), rel=1e-5)
    assert told["auc"] == pytest.approx(metrics.roc_auc_score(truth, scores[:, 1]))
    assert told["pr_auc"] == pytest.approx(metrics.average_precision_score(truth, scores[:, 1]))
    assert told["calibration_error"] < 0.04
    report = metrics.classification_report(truth, predicted, output_dict=True)
    for name in ("0", "1"):
        mine = found["classes"][name]
        assert mine["support"] == report[name]["support"]
        for theirs, ours in (("precision", "precision"), ("recall", "recall"), ("f1-score", "f1")):
            assert mine[ours]["value"] == pytest.approx(report[name][theirs])


def test_classes_with_names_are_matched_with_their_columns(keep, batch, tmp_path):
    rng = np.random.default_rng(2)
    names = np.array([b"cat", b"dog", b"owl"], object)
    scores = softmax(rng.normal(size=(2000, 3))).astype(np.float32)
    truth = [names[rng.choice(3, p=one / one.sum())].decode() for one in scores.astype(float)]
    outputs = {"class": names[scores.argmax(axis=1)], "probabilities": scores}
    told = values(judged(keep, batch, tmp_path, outputs, truth))
    known = ["cat", "dog", "owl"]
    assert told["log_loss"] == pytest.approx(
        metrics.log_loss(truth, scores, labels=known), rel=1e-4
    )
    assert "auc" not in told


def test_numbers(keep, batch, tmp_path):
    rng = np.random.default_rng(3)
    truth = rng.normal(size=1000)
    predicted = (truth + rng.normal(0.1, 0.5, 1000)).astype(np.float32).reshape(-1, 1)
    found = judged(keep, batch, tmp_path, {"price": predicted}, truth.tolist())
    told = values(found)
    assert found["kind"] == "regression"
    flat = predicted.ravel().astype(float)
    assert told["mae"] == pytest.approx(metrics.mean_absolute_error(truth, flat))
    assert told["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, flat))
    assert told["bias"] == pytest.approx(float((flat - truth).mean()))


@pytest.mark.parametrize(("known", "least", "most"), [(None, 5.0, 10.0), (2.0, 2.0, 2.0)])
def test_intervals_of_errors_say_up_to_which_error_they_hold(
    keep, batch, tmp_path, known, least, most
):
    rng = np.random.default_rng(9)
    truth = rng.normal(size=1200)
    outputs = {"price": (truth + rng.uniform(0, 0.9, 1200)).reshape(-1, 1)}
    options = FeedbackOptions(largest_error=known)
    figures = judged(keep, batch, tmp_path, outputs, truth.tolist(), options)["figures"]
    for name in ("mae", "rmse", "bias"):
        one = figures[name]
        assert one["low"] < one["value"] < one["high"]
        assert least <= one["up_to"] * (1 + 1e-9)
        assert one["up_to"] <= most * (1 + 1e-9)


def test_a_single_probability_needs_to_be_called_one(keep, batch, tmp_path):
    scores = np.array([[0.9], [0.2], [0.6], [0.4]], np.float32)
    options = FeedbackOptions(kind="classification", classes=("no", "yes"))
    found = judged(keep, batch, tmp_path, {"p": scores}, ["yes", "no", "no", "no"], options)
    assert values(found)["accuracy"] == 0.75
    assert values(found)["brier"] == pytest.approx((0.01 + 0.04 + 0.36 + 0.16) / 4)


def test_outputs_that_say_nothing_are_left_alone(keep, batch, tmp_path):
    store = keep()
    store.take([batch(["a"], {"embedding": np.ones((1, 4), np.float32) * 7})])
    store.tick(NOW)
    store.feedback([Label("a", 1, NOW)], NOW)
    assert performance(tmp_path, "m", ALL)["versions"] == []


def test_accuracy_is_estimated_without_labels_after_calibration(keep, batch, tmp_path):
    rng = np.random.default_rng(4)
    store = keep(FeedbackOptions(reference_labels=2000))

    def scored(count, sharpness):
        # Twice too sure of itself: the raw probabilities overstate the accuracy.
        true = softmax(rng.normal(scale=sharpness, size=(count, 2)))
        truth = (rng.random(count) < true[:, 1]).astype(int)
        return softmax(2 * np.log(true)).astype(np.float32), truth

    scores, truth = scored(2000, 1.0)
    outputs = {"label": scores.argmax(axis=1), "p": scores}
    store.take([batch([f"a{n}" for n in range(2000)], outputs)])
    store.tick(NOW)
    store.feedback([Label(f"a{n}", int(t), NOW) for n, t in enumerate(truth)], NOW)
    later = NOW + 7 * 86_400
    scores, truth = scored(20_000, 0.4)  # harder inputs, and no labels
    outputs = {"label": scores.argmax(axis=1), "p": scores}
    store.take([batch([f"b{n}" for n in range(20_000)], outputs, time=later)])
    store.tick(later)
    (found,) = performance(tmp_path, "m", Span(later - 3600, later + 1, 86_400))["versions"]
    actual = float((scores.argmax(axis=1) == truth).mean())
    raw = float(scores.max(axis=1).mean())
    assert abs(found["estimated"]["accuracy"] - actual) < 0.02
    assert raw - actual > 0.05
    assert "no concept drift" in found["estimated"]["assumption"]
    assert found["labels"] == 0


def test_calibration_never_falls():
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 50, 20).astype(float)
    table = calibrate(counts, np.floor(counts * rng.random(20)))
    assert len(table) == 20
    assert all(low <= high for low, high in itertools.pairwise(table))
    assert estimated_accuracy(np.zeros(20), table) is None


def test_rows_of_one_unit_widen_the_intervals(keep, batch, tmp_path):
    """A user with ten labels that say the same tells little more than one with one label."""
    rng = np.random.default_rng(8)
    right = rng.random(100) < 0.8
    truth = np.repeat(right, 10).astype(int)
    outputs = {"label": np.ones(1000, np.int64)}
    widths = {}
    for place, told in (("with", True), ("without", False)):
        directory = tmp_path / place
        directory.mkdir()
        store = keep(directory=directory)
        ids = [f"r{n}" for n in range(1000)]
        store.take([batch(ids, outputs)])
        store.tick(NOW)
        labels = [
            Label(one, int(value), NOW, unit=f"user {n // 10}" if told else "")
            for n, (one, value) in enumerate(zip(ids, truth, strict=True))
        ]
        store.feedback(labels, NOW)
        (found,) = performance(directory, "m", ALL)["versions"]
        accuracy = found["figures"]["accuracy"]
        assert accuracy["value"] == pytest.approx(truth.mean())
        widths[place] = accuracy["high"] - accuracy["low"]
    assert widths["with"] == pytest.approx(widths["without"] * np.sqrt(10), rel=0.15)


def test_rows_of_one_request_are_a_unit_where_nobody_names_one(keep, batch, tmp_path):
    store = keep()
    rows = 40
    store.take([batch(["a", "b"], {"y": np.zeros(2 * rows)}, offsets=[0, rows, 2 * rows])])
    store.tick(NOW)
    labels = [Label(one, 1.0, NOW, index) for one in ("a", "b") for index in range(rows)]
    store.feedback(labels, NOW)
    (found,) = performance(tmp_path, "m", ALL)["versions"]
    assert found["labels"] == 2 * rows
    assert found["figures"]["mae"] == {"value": 1.0, "low": None, "high": None, "up_to": None}
