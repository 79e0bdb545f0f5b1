"""Whether a retraining starts now: each trigger, each obstacle, and the period in all histories."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.config.retrain_options import RetrainOptions
from penstock.server.files.duration import Duration
from penstock.server.retrain.decision import Incident, Snapshot, decide
from penstock.server.retrain.run import Phase, Run

DAY = 86_400.0
NOW = 1_000 * DAY
DRIFT = Incident("drift", "3", "drift/m/3//1", "income drifts", NOW - 600)
WORSE = Incident("performance", "", "performance/m", "it has become worse", NOW - 60)
ALL = ("drift", "performance", "age", "schedule")


def options(*triggers: Any, **more: Any) -> RetrainOptions:
    limits = {
        "max_age": Duration(30 * DAY) if "age" in triggers else None,
        "every": Duration(7 * DAY) if "schedule" in triggers else None,
    }
    return RetrainOptions("m", "webhook", triggers, **(limits | more), url="http://x/y")


def run(phase: Phase = Phase.SUCCEEDED, decided_at: float = NOW - 2 * DAY) -> Run:
    return Run("m-1", "m", 3, "", "drift", "", "", "retrain", 3, decided_at, phase=phase)


def seen(**more: Any) -> Snapshot:
    known: dict[str, Any] = {
        "version": 3, "published_at": NOW - DAY, "trial": False, "incidents": (),
        "since": NOW - DAY, "last": None,
    }  # fmt: skip
    return Snapshot(**(known | more))


@pytest.mark.parametrize(
    ("wanted", "snapshot", "trigger", "episode"),
    [
        (options("drift"), seen(incidents=(DRIFT,)), "drift", DRIFT.episode),
        (options("performance"), seen(incidents=(DRIFT, WORSE)), "performance", WORSE.episode),
        (options(*ALL), seen(incidents=(DRIFT, WORSE)), "performance", WORSE.episode),
        (options("age"), seen(published_at=NOW - 30 * DAY), "age", ""),
        (options("schedule"), seen(since=NOW - 7 * DAY), "schedule", ""),
        (
            options("schedule"),
            seen(since=0.0, last=run(decided_at=NOW - 7 * DAY)),
            "schedule",
            "",
        ),
    ],
)
def test_a_trigger_starts_a_run(
    wanted: RetrainOptions, snapshot: Snapshot, trigger: str, episode: str
) -> None:
    found = decide(wanted, snapshot, NOW)
    assert (found.start, found.trigger, found.incident) == (True, trigger, episode)


@pytest.mark.parametrize(
    ("wanted", "snapshot", "reason", "at"),
    [
        (options("drift"), seen(), "nothing asks", math.inf),
        (options(), seen(incidents=(DRIFT, WORSE)), "nothing asks", math.inf),
        (options("drift"), seen(incidents=(WORSE,)), "nothing asks", math.inf),
        # An alert about a version that does not serve any more.
        (options("drift"), seen(version=4, incidents=(DRIFT,)), "nothing asks", math.inf),
        (options("age"), seen(), "nothing asks", NOW + 29 * DAY),
        (options("age"), seen(published_at=None), "nothing asks", math.inf),
        (options("schedule"), seen(), "nothing asks", NOW + 6 * DAY),
        (options("performance"), seen(version=None, incidents=(WORSE,)), "no version", math.inf),
        (options("drift"), seen(trial=True, incidents=(DRIFT,)), "on trial", math.inf),
        (
            options("drift"),
            seen(incidents=(DRIFT,), last=run(Phase.RUNNING)),
            "m-1 is running",
            math.inf,
        ),
        (
            options("drift"),
            seen(incidents=(DRIFT,), last=run(decided_at=NOW - DAY / 2)),
            "less than a period",
            NOW + DAY / 2,
        ),
        # A run that failed counts, too: it is tried again in the next period.
        (
            options("drift"),
            seen(incidents=(DRIFT,), last=run(Phase.FAILED, NOW - DAY / 2)),
            "less than a period",
            NOW + DAY / 2,
        ),
        (
            options("drift", delay=Duration(3600)),
            seen(incidents=(DRIFT,)),
            "drift has begun, and is given time",
            NOW + 3000,
        ),
    ],
)
def test_nothing_starts(wanted: RetrainOptions, snapshot: Snapshot, reason: str, at: float) -> None:
    found = decide(wanted, snapshot, NOW)
    assert not found.start
    assert reason in found.reason
    assert found.at == at


EVENTS = st.lists(
    st.tuples(
        st.floats(1, 3 * DAY),
        st.sampled_from(["tick", "incident", "over", "succeeded", "failed", "trial", "decided"]),
    ),
    max_size=60,
)


@given(EVENTS)
def test_no_history_starts_two_runs_in_a_period_or_while_one_runs(
    events: list[tuple[float, str]],
) -> None:
    wanted = options(*ALL)
    now, open_, trial, starts = NOW, False, False, []
    last: Run | None = None
    for pause, event in events:
        now += pause
        open_ = event == "incident" or (open_ and event != "over")
        trial = event == "trial" or (trial and event != "decided")
        if event in {"succeeded", "failed"} and last is not None:
            last = run(Phase(event), last.decided_at)
        incidents = (DRIFT,) if open_ else ()
        snapshot = seen(trial=trial, incidents=incidents, since=NOW, last=last)
        found = decide(wanted, snapshot, now)
        if found.start:
            assert not trial
            assert last is None or last.final
            starts.append(now)
            last = run(Phase.RUNNING, now)
        elif math.isfinite(found.at):
            assert found.at > now or last is not None
    assert all(later - one >= wanted.period for one, later in pairwise(starts))
