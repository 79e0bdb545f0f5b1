"""Drift and labels in the status: of each version, whatever the monitor says or does not say."""

from __future__ import annotations

from penstock.monitoring.drift.states import DRIFT, OK
from penstock.monitoring.drift_summary.summary import DriftSummary
from penstock.monitoring.feedback.label_summary import LabelSummary
from penstock.server.control.api.monitor_client import Monitored
from penstock.server.control.api.monitor_state import NONE, OFF, UNKNOWN, add_monitored

NOW = 1_000.0


def told(found: Monitored, *, watched: bool = True, sample_rate: float = 1.0) -> list[list[str]]:
    """State and words of drift and labels, of the versions 1 and 2 of a model."""
    model = {"name": "m", "versions": [{"version": 1}, {"version": 2}]}
    add_monitored([model], found, lambda _: watched, sample_rate, NOW)
    keys = [("drift", "state"), ("drift", "words"), ("labels", "state"), ("labels", "words")]
    versions: list[dict[str, dict[str, str]]] = model["versions"]  # type: ignore[assignment]
    return [[one[part][key] for part, key in keys] for one in versions]


FOUND = Monitored(
    {("m", "1"): DriftSummary(OK), ("m", "2"): DriftSummary(DRIFT, ("age",))},
    {("m", "2"): LabelSummary(labels=3, last=NOW - 60)},
)


def test_each_version_has_its_own() -> None:
    assert told(FOUND) == [
        [OK, "stable", NONE, "none"],
        [DRIFT, "changed: age", "too few", "too few: 3 labels, 20 needed, last 1 min ago"],
    ]


def test_a_version_without_rows_says_so() -> None:
    assert told(Monitored())[0] == [NONE, "no rows yet", NONE, "none"]


def test_without_an_answer_nothing_is_claimed() -> None:
    away = Monitored(problem="the monitor is away")
    words = "unknown: the monitor is away"
    assert told(away) == [[UNKNOWN, words, UNKNOWN, words]] * 2


def test_a_model_that_is_not_watched_says_why() -> None:
    words = "not watched: drift is false in model.toml"
    assert told(FOUND, watched=False)[1][:2] == [OFF, words]
    assert told(FOUND, watched=False)[1][2] == "too few"
    words = "not sampled: sample_rate is 0"
    assert told(Monitored(), sample_rate=0.0) == [[OFF, words, OFF, words]] * 2
    assert told(Monitored(drift_watched=False))[0][1].startswith("not watched: SciPy")
