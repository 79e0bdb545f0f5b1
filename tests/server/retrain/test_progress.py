"""A run step by step: its attempts are bounded, also those that a crash cuts off."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from penstock.server.config.retrain_options import RetrainOptions
from penstock.server.retrain.progress import Step, given_up, next_step, refused, tried
from penstock.server.retrain.run import Phase, Run

NOW = 1000.0
OPTIONS = RetrainOptions("m", "webhook", url="http://x/y", attempts=4)


def run(phase: Phase, **more: Any) -> Run:
    return Run("m-1", "m", 3, "", "drift", "", "", "retrain", 3, NOW, phase=phase, **more)


@pytest.mark.parametrize(
    ("one", "later", "step"),
    [
        (run(Phase.DECIDED), 1e9, Step.RECORD),
        (run(Phase.EXPORTING), 0, Step.EXPORT),
        (run(Phase.STARTING), 0, Step.START),
        (run(Phase.STARTING, next_at=NOW + 5), 4, Step.WAIT),
        (run(Phase.STARTING, next_at=NOW + 5), 5, Step.START),
        (run(Phase.STARTING, attempts=4), 0, Step.GIVE_UP),
        (run(Phase.RUNNING, handle="h", started_at=NOW), 0, Step.LOOK),
        (run(Phase.RUNNING, started_at=NOW), 0, Step.WAIT),
        (run(Phase.RUNNING, started_at=NOW), OPTIONS.time_limit, Step.GIVE_UP),
        (run(Phase.STARTING), OPTIONS.time_limit, Step.GIVE_UP),
    ],
)
def test_the_next_step(one: Run, later: float, step: Step) -> None:
    assert next_step(one, OPTIONS, NOW + later) is step


def test_attempts_are_bounded_with_growing_pauses() -> None:
    one, now, pauses = run(Phase.STARTING), NOW, []
    while not one.final:
        assert next_step(one, OPTIONS, now) is Step.START
        one = refused(tried(one, OPTIONS, now), "no answer", OPTIONS, now, final=False)
        pauses.append(one.next_at - now)
        now = one.next_at
    assert pauses[:3] == [5, 10, 20]
    assert one.phase is Phase.FAILED
    assert one.problem == "starting: no answer (attempt 4)"


def test_attempts_that_crashes_cut_off_are_counted() -> None:
    one, now, starts = run(Phase.STARTING), NOW, 0
    while next_step(one, OPTIONS, now) is Step.START:
        one, starts = tried(one, OPTIONS, now), starts + 1
        now = one.next_at  # and nobody came back
    assert starts == 4
    assert given_up(one, OPTIONS, now).problem == "starting failed 4 times; it was cut off"


def test_what_another_attempt_does_not_change_is_final_and_a_target_may_ask_to_wait() -> None:
    one = tried(run(Phase.STARTING), OPTIONS, NOW)
    assert refused(one, "422", OPTIONS, NOW, final=True).phase is Phase.FAILED
    assert refused(one, "503", OPTIONS, NOW, final=False, after=60).next_at == NOW + 60
    assert refused(one, "503", OPTIONS, NOW, final=False, after=1e9).next_at == NOW + 3600


def test_a_run_that_nobody_tells_of_says_so() -> None:
    one = replace(run(Phase.RUNNING), started_at=NOW)
    assert "nobody reported its end" in given_up(one, OPTIONS, NOW + 1e6).problem
    assert "nobody" not in given_up(replace(one, handle="h"), OPTIONS, NOW + 1e6).problem
