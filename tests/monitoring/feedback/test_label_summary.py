"""The labels of a version in words, and the summaries in memory beside the report."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from penstock.monitoring.feedback import label_summaries
from penstock.monitoring.feedback.change_detector import ALARM, WATCHING
from penstock.monitoring.feedback.intervals import Estimate
from penstock.monitoring.feedback.label import Label
from penstock.monitoring.feedback.label_summaries import LabelSummaries
from penstock.monitoring.feedback.label_summary import (
    DOUBTFUL,
    FALLING,
    STEADY,
    TOO_FEW,
    LabelSummary,
    label_words,
    state_of,
)
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.report import Span, performance
from penstock.monitoring.feedback.schema import FEEDBACK_FILE, open_to_read
from penstock.monitoring.feedback.store import FeedbackStore

from .conftest import NOW, make_batch

ACCURACY = Estimate(0.93, 0.912, 0.9481)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "none"),
        (LabelSummary(), "none"),
        (LabelSummary(labels=1, last=NOW - 5), "too few: 1 label, 20 needed, last 5 s ago"),
        (
            LabelSummary(STEADY, 1240, 0, "accuracy", ACCURACY, NOW - 7300),
            "accuracy 0.93 (0.912-0.948), 1,240 labels, last 2 h ago",
        ),
        (
            LabelSummary(FALLING, 1240, 40, "accuracy", ACCURACY, NOW - 200),
            "falling: accuracy 0.93 (0.912-0.948), 1,200 labels, last 3 min ago",
        ),
        (
            LabelSummary(STEADY, 30, 0, "mae", Estimate(1.2345), NOW - 200_000),
            "mean absolute error 1.23, 30 labels, last 2 d ago",
        ),
        (
            LabelSummary(DOUBTFUL, 30, 0, "accuracy", ACCURACY, NOW, "other classes"),
            "accuracy 0.93 (0.912-0.948), 30 labels, last 0 s ago; cannot tell: other classes",
        ),
        (LabelSummary(labels=7, not_comparable=7), "7 labels, none comparable with its prediction"),
    ],
)
def test_each_state_has_its_words(found, words):
    assert label_words(found, NOW) == words
    if found is not None:
        assert LabelSummary.from_json(found.to_json()) == found


def test_an_alarm_comes_before_a_doubt_and_a_doubt_before_few_labels():
    assert state_of(ACCURACY, ALARM, "doubt") == FALLING
    assert state_of(None, WATCHING, "doubt") == DOUBTFUL
    assert state_of(None, WATCHING, "") == TOO_FEW
    assert state_of(ACCURACY, WATCHING, "") == STEADY


class Kept:
    """A store, its summaries, and the report of the same files."""

    def __init__(self, directory, options=None):
        self._directory = directory
        self.summaries = LabelSummaries()
        self.store = FeedbackStore(
            directory,
            lambda *_: options or FeedbackOptions(),
            lambda *_: None,
            1_000_000,
            90.0,
            summaries=self.summaries,
        )

    def predict(self, ids, outputs, **more):
        self.store.take([make_batch(ids, outputs, **more)])
        self.store.tick(NOW + 1)

    def label(self, pairs, at=NOW + 5, source=""):
        labels = [Label(one, value, at, source=source) for one, value in pairs]
        self.store.feedback(labels, at)

    def settle(self, at=NOW + 20):
        self.store.tick(at)

    def reported(self, version="1"):
        found = performance(self._directory, "m", Span(0.0, NOW + 1000, 3600.0))["versions"]
        (one,) = [one for one in found if one["version"] == version]
        return one

    def on_disk(self):
        found = LabelSummaries()
        with closing(open_to_read(self._directory / FEEDBACK_FILE)) as connection:
            connection.row_factory = None
            found.load(connection)
        return found.by_version()


def test_accuracy_and_its_interval_are_those_of_the_report(tmp_path):
    kept = Kept(tmp_path)
    ids = [f"r{number}" for number in range(200)]
    kept.predict(ids, {"label": np.zeros(200, np.int64)})
    assert kept.summaries.by_version() == {}
    kept.label([(one, int(number < 30)) for number, one in enumerate(ids)])
    kept.settle()
    found = kept.summaries.by_version()["m", "1"]
    assert (found.state, found.labels, found.last) == (STEADY, 200, NOW + 5)
    assert found.estimate.value == 0.85
    reported = kept.reported()
    assert found.to_json()["estimate"] == reported["figures"]["accuracy"]
    assert kept.on_disk() == kept.summaries.by_version()


def test_a_corrected_label_and_one_of_another_source_count_as_in_the_report(tmp_path):
    kept = Kept(tmp_path)
    ids = [f"r{number}" for number in range(40)]
    kept.predict(ids, {"label": np.zeros(40, np.int64)})
    kept.label([(one, 0) for one in ids])
    kept.settle()
    assert kept.summaries.by_version()["m", "1"].estimate.value == 1.0
    kept.label([("r0", 1)], at=NOW + 30)
    kept.label([("r1", 1)], at=NOW + 31, source="another")
    kept.settle(NOW + 50)
    found = kept.summaries.by_version()["m", "1"]
    assert found.estimate.value == pytest.approx(38 / 40)
    assert found.to_json()["estimate"] == kept.reported()["figures"]["accuracy"]
    assert (found.labels, found.last) == (41, NOW + 31)


def test_labels_of_numbers_have_their_mean_absolute_error(tmp_path):
    kept = Kept(tmp_path, FeedbackOptions(largest_error=50.0))
    ids = [f"r{number}" for number in range(600)]
    rng = np.random.default_rng(2)
    kept.predict(ids, {"value": rng.normal(size=600)})
    kept.label([(one, 0.5) for one in ids])
    kept.settle()
    found = kept.summaries.by_version()["m", "1"]
    assert found.figure == "mae"
    assert found.to_json()["estimate"] == kept.reported()["figures"]["mae"]
    assert found.estimate.low < found.estimate.value < found.estimate.high


def test_the_arms_of_a_version_are_one(tmp_path):
    kept = Kept(tmp_path)
    for arm, label in (("", 1), ("canary", 0)):
        ids = [f"{arm}{number}" for number in range(30)]
        kept.predict(ids, {"label": np.zeros(30, np.int64)}, arm=arm)
        kept.label([(one, label) for one in ids])
    kept.settle()
    found = kept.summaries.by_version()["m", "1"]
    assert (found.labels, found.estimate.value) == (60, 0.5)


def test_labels_that_say_nothing_are_counted_apart(tmp_path):
    kept = Kept(tmp_path)
    kept.predict(["a", "b"], {"value": np.array([1.5, 2.5])})
    kept.label([("a", "red"), ("b", 2.0)])
    kept.settle()
    found = kept.summaries.by_version()["m", "1"]
    assert (found.state, found.labels, found.not_comparable) == (TOO_FEW, 2, 1)


def test_nothing_is_computed_anew_while_no_label_comes(tmp_path):
    kept = Kept(tmp_path)
    kept.predict(["a"], {"label": np.zeros(1, np.int64)})
    kept.label([("a", 0)])
    kept.settle()
    changes = kept.summaries.changes
    kept.predict(["b"], {"label": np.zeros(1, np.int64)}, time=NOW + 21)
    kept.settle(NOW + 40)
    assert kept.summaries.changes == changes


def test_the_number_of_summaries_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(label_summaries, "MOST", 2)
    kept = Kept(tmp_path)
    for version in "1234":
        kept.predict([version], {"label": np.zeros(1, np.int64)}, version=version)
        kept.label([(version, 0)])
        kept.settle(NOW + 20 * int(version))
    assert set(kept.summaries.by_version()) == {("m", "3"), ("m", "4")}
    assert kept.on_disk() == kept.summaries.by_version()
