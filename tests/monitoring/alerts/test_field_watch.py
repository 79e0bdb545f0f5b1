"""Inputs against what is declared and what the baseline taught: found, not invented, told once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from penstock.monitoring.alert_rules import input_quality
from penstock.monitoring.alert_rules.counter_window import CounterWindow
from penstock.monitoring.alert_rules.field_watch import FieldWatch
from penstock.monitoring.alert_rules.input_quality import WINDOW_SECONDS, unusual_values
from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.alerts.reading import read_alerts
from penstock.monitoring.drift.constraints import Faults
from penstock.monitoring.drift.learning import category_reference, number_reference
from penstock.monitoring.drift.learnt import LearntFaults, LearntField
from penstock.monitoring.drift.window import Window
from penstock.monitoring.metrics.merge import merge
from penstock.monitoring.metrics.metrics import CounterFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from penstock.monitoring.drift.baseline import Reference

    Draw = Callable[[np.random.Generator, int], NDArray[Any]]

NOW = 1_930_000_000.0
ANY = number_reference(np.arange(100.0))


def numbers(missing: float) -> Draw:
    def draw(rng: np.random.Generator, rows: int) -> NDArray[Any]:
        values = rng.standard_normal(rows)
        values[rng.random(rows) < missing] = np.nan
        return values

    return draw


def words(rng: np.random.Generator, rows: int) -> NDArray[Any]:
    """A few that are frequent, and a long tail: most new ones are no news."""
    return np.char.add("w", rng.zipf(1.8, rows).astype(str)).astype(object)


def taught(draw: Draw, rng: np.random.Generator, rows: int) -> Reference:
    values = draw(rng, rows)
    return (
        category_reference(values.tolist()) if values.dtype.hasobject else number_reference(values)
    )


def faults_in(reference: Reference, values: NDArray[Any]) -> Faults:
    return Window(0.0).add("x", reference, values)


def bad(reference: Reference, rows: int, faults: Faults) -> bool:
    window = CounterWindow(WINDOW_SECONDS, 30.0, 4)
    window.read(NOW, (0, 0, 0, 0))
    window.read(NOW + 60, (rows, *faults))
    return unusual_values(LearntField("m", "1", "x", reference), window, NOW + 60).bad


@pytest.mark.parametrize("draw", [numbers(0.0), numbers(0.05), numbers(0.4), words])
@pytest.mark.parametrize("known", [100, 10_000])
def test_rows_like_the_baseline_are_no_alarm(draw: Draw, known: int) -> None:
    rng = np.random.default_rng(known)
    for _ in range(40):
        reference = taught(draw, rng, known)
        for rows in (100, 1000, 10_000):
            assert not bad(reference, rows, faults_in(reference, draw(rng, rows)))


@pytest.mark.parametrize("share", [0.0, 0.002, 0.05])
@pytest.mark.parametrize(("known", "rows"), [(1000, 500), (10_000, 500), (10_000, 20_000)])
def test_a_look_is_wrong_as_seldom_as_is_said(
    share: float, known: int, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look in a thousand instead of 10**9, each against a baseline of its own.

    The other conditions are left out: they make an alarm rarer still.
    """
    monkeypatch.setattr(input_quality, "LEAST_CHANCE", 1e-3)
    monkeypatch.setattr(input_quality, "WORST_SHARE", 0.0)
    monkeypatch.setattr(input_quality, "LEAST_ODDS", 0.0)
    monkeypatch.setattr(input_quality, "LEAST_FAULTS", 1)
    rng, looks = np.random.default_rng([known, rows]), 8000
    usual, faults = rng.binomial(known, share, looks), rng.binomial(rows, share, looks)
    pairs, counts = np.unique(np.stack([usual, faults], axis=1), axis=0, return_counts=True)
    false = sum(
        count * is_alarm(known, rows, *pair)
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
    )
    assert false <= 1e-3 * looks + 4 * np.sqrt(1e-3 * looks)


def test_inputs_like_their_baselines_have_no_alarm_in_a_year() -> None:
    """Twenty inputs, of which 0.1 to 10 % are missing; a step of 30 seconds has 20 rows."""
    rng, steps, a_step = np.random.default_rng(9), 365 * 2880, 20
    wide = int(WINDOW_SECONDS // 30)
    for share in np.geomspace(0.001, 0.1, 20):
        usual = int(rng.binomial(10_000, share))
        faults = np.cumsum(rng.binomial(a_step, share, steps))
        most = int((faults[wide:] - faults[:-wide]).max())
        assert not is_alarm(10_000, wide * a_step, usual, most), share


def is_alarm(known: int, rows: int, usual: int, faults: int) -> bool:
    """Whether so many missing values are one, after `usual` in the rows of the baseline."""
    counts = np.zeros(ANY.bins.size, np.int64)
    counts[0], counts[-2] = known - usual, usual
    return bad(replace(ANY, counts=counts), rows, Faults(0, 0, faults))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(0.0, 0.02, True), (0.05, 0.15, True), (0.4, 0.7, True), (0.05, 0.055, False)],
)
def test_more_missing_values_are_found_when_they_matter(
    before: float, after: float, *, expected: bool
) -> None:
    rng = np.random.default_rng(3)
    reference = taught(numbers(before), rng, 10_000)
    found = [bad(reference, 5000, faults_in(reference, numbers(after)(rng, 5000))) for _ in "12345"]
    assert found == [expected] * 5


def test_another_unit_and_another_list_of_words_are_found() -> None:
    rng = np.random.default_rng(4)
    reference = taught(numbers(0.0), rng, 10_000)
    assert bad(reference, 500, faults_in(reference, rng.standard_normal(500) * 1000))
    reference = taught(words, rng, 10_000)
    assert bad(reference, 500, faults_in(reference, np.array(["W1"] * 500, object)))


def test_one_episode_per_field_whoever_says_what_is_right(tmp_path: Path) -> None:
    path, run = tmp_path / "alerts.db", tmp_path / "run"
    run.mkdir()
    counters = CounterFile.create(run, "worker")
    learnt = LearntFaults(counters)
    block, age = counters.model("m", "1"), counters.field("m", "1", "age")
    reference = taught(numbers(0.0), np.random.default_rng(5), 10_000)
    watch = FieldWatch(AlertStore(path), 600.0, learnt)

    def minutes(first: int, last: int, missing: int, declared: int) -> None:
        for second in range(first * 60, last * 60, 10):
            block.observe_batch(100, 10)
            age.count("range", "pass", declared)
            for name in ("age", "income"):
                learnt.count("m", "1", name, reference, 100, Faults(0, 0, missing))
            watch.update(merge(run), NOW + second)

    def told() -> list[tuple[str, str]]:
        alerts = [one.alert for one in read_alerts(path, 20)]
        assert {one.kind for one in alerts} <= {"quality"}
        return sorted((one.subject, one.state) for one in alerts)

    minutes(0, 20, missing=0, declared=0)
    assert told() == []
    minutes(20, 30, missing=30, declared=30)
    assert told() == [("age", "opened"), ("income", "opened")]
    minutes(30, 70, missing=0, declared=30)  # the baseline is content, model.toml is not
    assert told() == [("age", "opened"), ("income", "closed"), ("income", "opened")]
    minutes(70, 110, missing=0, declared=0)
    assert len(told()) == 4
    counters.close()
