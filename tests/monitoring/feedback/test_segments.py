"""Figures by segment, and the segments in which a version is worse."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client.registry import CollectorRegistry
from scipy.stats import fisher_exact

from penstock.monitoring.feedback.label import Label
from penstock.monitoring.feedback.metrics import FeedbackCollector
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.performance import Labelled
from penstock.monitoring.feedback.report import Span, performance
from penstock.monitoring.feedback.segment_labels import segment_labels
from penstock.monitoring.feedback.segment_report import segmented
from penstock.monitoring.feedback.segment_votes import (
    REST,
    SegmentVotes,
    compare_segments,
)
from penstock.monitoring.fisher import exact_tail
from penstock.monitoring.multiple_tests import holm
from penstock.monitoring.segments.segment_rows import SegmentRows

NOW = 1_700_000_000.0
ALL = Span(NOW - 1e6, NOW + 1e6, 86_400.0)
COUNTRIES = ["(other)", "(missing)", *(f"c{n}" for n in range(50))]
PLANS = ["(other)", "(missing)", "free", "pro"]


@pytest.fixture
def play(keep, batch):
    """Predictions of class 1 by country and plan, and their labels."""
    store = keep()

    def run(version, countries, wrong, arm="", plans=None, at=NOW):
        ids = [f"{version}{arm}-{at:.0f}-{n}" for n in range(len(countries))]
        rows = [SegmentRows("country", COUNTRIES, np.asarray(countries) + 2)]
        if plans is not None:
            rows.append(SegmentRows("plan", PLANS, np.asarray(plans) + 2))
        sample = batch(ids, {"label": np.ones(len(ids), np.int64)}, version=version, arm=arm)
        store.take([replace(sample, segments=tuple(rows))])
        store.tick(at)
        labels = [Label(i, int(not w), at) for i, w in zip(ids, wrong, strict=True)]
        store.feedback(labels, at)
        store.tick(at + 60)

    return run


def told(directory, version, by=""):
    found = performance(directory, "m", ALL, by)["versions"]
    return next(one["segments"] for one in found if one["version"] == version)


def test_figures_of_each_segment_are_those_of_its_rows(play, tmp_path):
    random = np.random.default_rng(1)
    countries, plans = random.integers(0, 3, 900), random.integers(0, 2, 900)
    wrong = random.random(900) < 0.2
    play("1", countries, wrong, plans=plans)
    found = {one["segment"]: one for one in told(tmp_path, "1", "country")["values"]}
    assert sorted(found) == ["c0", "c1", "c2"]
    for number in range(3):
        here = countries == number
        accuracy = found[f"c{number}"]["figures"]["accuracy"]
        assert found[f"c{number}"]["labels"] == here.sum()
        assert accuracy["value"] == pytest.approx(1 - wrong[here].mean())
        assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert {one["segment"] for one in told(tmp_path, "1", "plan")["values"]} == {"free", "pro"}
    assert told(tmp_path, "1")["values"] == []
    assert told(tmp_path, "1")["fields"] == ["country", "plan"]


def test_predictions_without_segments_have_none(keep, batch, tmp_path):
    store = keep()
    store.take([batch(["a"], {"label": np.ones(1, np.int64)})])
    store.tick(NOW)
    store.feedback([Label("a", 1, NOW)], NOW)
    assert told(tmp_path, "1") is None


def test_predictions_of_before_a_field_was_declared_are_no_segment(keep, batch, tmp_path):
    store = keep()
    declared = SegmentRows("country", COUNTRIES, np.arange(100) % 2 + 2)
    for at, segments, label in ((NOW - 100, (), 0), (NOW, (declared,), 1)):
        ids = [f"{at:.0f}-{n}" for n in range(100)]
        sample = batch(ids, {"label": np.ones(100, np.int64)})
        store.take([replace(sample, segments=segments)])
        store.tick(at)
        store.feedback([Label(one, label, at) for one in ids], at)
    found = told(tmp_path, "1", "country")
    assert found["worse"] == []
    assert (found["tests"], found["too_few_labels"]) == (2, 0)
    assert [(one["segment"], one["labels"]) for one in found["values"]] == [("c0", 50), ("c1", 50)]


def test_the_first_label_of_a_unit_votes():
    losses, units = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0, 1, 0, 1])
    nothing = np.full(4, np.nan)
    rows = Labelled(
        "classification", ["0"] * 4, ["1"] * 4, *[nothing, losses, *[nothing] * 6], units
    )
    found = segmented("1", "", rows, np.array([1, 1, 1, 2]), {1: {"s": "a"}, 2: {"s": "b"}}, "")
    assert found.votes.losses.tolist() == [0.0, 0.0]  # the newest come first
    assert found.votes.segments["s"].tolist() == ["a", "b"]


def test_a_version_that_is_wrong_in_two_percent_of_the_traffic_is_named(play, tmp_path):
    random = np.random.default_rng(2)
    for version in ("1", "2"):
        countries = random.integers(0, 50, 5000)
        risk = np.where((countries == 7) & (version == "2"), 0.5, 0.1)
        play(version, countries, random.random(5000) < risk)
    assert told(tmp_path, "1")["worse"] == []
    found = told(tmp_path, "2")
    assert {(one["segment"], one["versus"]) for one in found["worse"]} == {
        ("c7", REST),
        ("c7", "version 1"),
    }
    assert found["tests"] == 100
    assert found["false_alarm_rate"] == 0.05


def test_a_canary_is_compared_with_stable_in_each_segment(play, tmp_path):
    random = np.random.default_rng(3)
    countries = random.integers(0, 4, 2000)
    play("1", countries, random.random(2000) < 0.1, arm="stable")
    play("2", countries, random.random(2000) < np.where(countries == 1, 0.4, 0.1), arm="canary")
    found = told(tmp_path, "2")
    assert found["versus"] == "version 1 stable"
    assert {one["segment"] for one in found["worse"]} == {"c1"}
    labels = segment_labels(tmp_path, "m", NOW - 1, NOW + 1)
    here = countries == 1
    assert labels["1", "stable"]["country=c1"].labelled == here.sum()
    assert labels["2", "canary"]["country=c1"].wrong > 0.3 * here.sum()
    assert segment_labels(tmp_path, "m", NOW + 1) == {("1", "stable"): {}, ("2", "canary"): {}}


def test_metrics_have_the_figures_of_segments(play, tmp_path):
    play("1", [0, 0, 0, 1], [True, False, False, True])
    registry = CollectorRegistry()
    registry.register(FeedbackCollector(tmp_path))
    where = {"model": "m", "version": "1", "arm": "", "field": "country", "segment": "c0"}
    assert registry.get_sample_value("penstock_segment_labels", where) == 3
    assert registry.get_sample_value("penstock_segment_accuracy", where) == pytest.approx(2 / 3)


def test_segments_are_kept_over_a_correction_and_a_restart(keep, batch, tmp_path):
    options = FeedbackOptions()
    store = keep(options)
    sample = batch(["a"], {"label": np.ones(1, np.int64)})
    rows = SegmentRows("country", COUNTRIES, np.array([2]))
    store.take([replace(sample, segments=(rows,))])
    store.tick(NOW)
    store.feedback([Label("a", 1, NOW)], NOW)
    store.close()
    for path in (tmp_path / "recent").glob("*.segment"):
        path.unlink()  # the prediction is forgotten, its label is corrected
    keep(options).feedback([Label("a", 0, NOW + 1)], NOW + 1)
    (found,) = told(tmp_path, "1", "country")["values"]
    assert (found["segment"], found["figures"]["accuracy"]["value"]) == ("c0", 0.0)


def test_the_exact_tail_is_that_of_scipy():
    for table in (
        [[3, 17], [10, 390]],
        [[0, 20], [5, 95]],
        [[20, 0], [100, 0]],
        [[9, 11], [40, 60]],
        [[100, 2900], [2000, 1000]],
        [[2000, 1000], [100, 2900]],
        [[1, 19], [9_000, 1_000]],
    ):
        (a, b), (c, d) = table
        expected = fisher_exact(table, alternative="greater")[1]
        assert exact_tail(a, a + c, a + b, a + b + c + d) == pytest.approx(expected)


def test_a_tail_that_is_too_small_for_a_float_is_0_at_once():
    billion = 10**9
    code = (
        "from penstock.monitoring.fisher import exact_tail\n"
        f"print(exact_tail({billion // 2}, {billion}, {billion}, {10 * billion}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "0.0\n"


def test_holm_adjusts_as_published():
    """The example of S. Holm: the least times n, the next times n - 1, never falling."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def votes(random, segments, rates, *, numbers=False):
    risk = np.asarray(rates)[segments]
    losses = (random.random(len(segments)) < risk).astype(float)
    if numbers:
        losses = random.lognormal(size=len(segments)) * (1 + 2 * losses)
    names = np.array([f"s{n}" for n in segments], object)
    return SegmentVotes(losses, {"s": names}, numbers)


@pytest.mark.parametrize("numbers", [False, True])
def test_no_segment_is_named_by_chance_more_often_than_stated(numbers):
    """50 segments and another version to compare with: 100 tests; at most 5 % name any."""
    random = np.random.default_rng(4)
    named = 0
    for _ in range(60):
        segments = random.integers(0, 50, 3000)
        mine = votes(random, segments, [0.1] * 50, numbers=numbers)
        theirs = votes(random, random.integers(0, 50, 3000), [0.1] * 50, numbers=numbers)
        named += any(one.worse for one in compare_segments(mine, theirs, "version 1"))
    assert named <= 7  # 5 % of 60 are 3; more than 7 have a probability of 1 %


def test_harm_in_one_segment_of_fifty_is_found_with_a_hundred_labels_of_it():
    random = np.random.default_rng(5)
    found = 0
    for _ in range(40):
        segments = random.integers(0, 50, 5000)
        findings = compare_segments(votes(random, segments, [0.4] + [0.1] * 49))
        found += any(one.worse and one.segment == "s0" for one in findings)
    assert found >= 38


def test_few_labels_say_nothing():
    random = np.random.default_rng(6)
    segments = np.r_[np.zeros(10, int), np.ones(500, int)]
    findings = compare_segments(votes(random, segments, [1.0, 0.1]))
    assert [one.p for one in findings if one.segment == "s0"] == [None]
    assert not any(one.worse for one in findings)
