"""What is done next about a run that has not ended, and what becomes of it. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from .run import Phase

if TYPE_CHECKING:
    from penstock.server.config.retrain_options import RetrainOptions

    from .run import Run

#: After a failure the pause doubles from the first up to the longest.
FIRST_SECONDS: Final = 5.0
LONGEST_SECONDS: Final = 900.0
#: More than this a target cannot ask for.
_MOST_RETRY_AFTER: Final = 3600.0
_MOST_PROBLEM: Final = 1000


class Step(StrEnum):
    """What is done next."""

    RECORD = "record"
    EXPORT = "export"
    START = "start"
    LOOK = "look"
    GIVE_UP = "give up"
    WAIT = "wait"


def next_step(run: Run, options: RetrainOptions, now: float) -> Step:
    """What is done next about a run that has not ended.

    Args:
        run: The run.
        options: Of the model.
        now: Unix seconds.
    """
    if run.phase is Phase.DECIDED:
        return Step.RECORD
    began = run.started_at or run.decided_at
    if now >= began + options.time_limit:
        return Step.GIVE_UP
    if now < run.next_at:
        return Step.WAIT
    if run.phase is Phase.RUNNING:
        return Step.LOOK if run.handle else Step.WAIT
    if run.attempts >= options.attempts:  # the last one was cut off by the end of the process
        return Step.GIVE_UP
    return Step.EXPORT if run.phase is Phase.EXPORTING else Step.START


def given_up(run: Run, options: RetrainOptions, now: float) -> Run:
    """The run that has taken too long, or failed too often."""
    if run.phase is Phase.RUNNING:
        reason = f"it had not ended after {options.time_limit:g} s"
        if not run.handle:
            reason += ", as far as is known: no version named it, and nobody reported its end"
    else:
        reason = f"{run.phase} failed {run.attempts} times; {run.problem or 'it was cut off'}"
    return failed(run, reason, now)


def failed(run: Run, reason: str, now: float) -> Run:
    """The run that has failed."""
    problem = reason[:_MOST_PROBLEM]
    return replace(run, phase=Phase.FAILED, ended_at=now, problem=problem)


def tried(run: Run, options: RetrainOptions, now: float) -> Run:
    """The run whose present step is attempted now.

    It is written down before the attempt: so attempts that end with this process count, too.
    """
    # An attempt that never comes back is over after this; see `next_step`.
    return replace(run, attempts=run.attempts + 1, next_at=now + options.timeout_seconds)


def refused(
    run: Run, reason: str, options: RetrainOptions, now: float, *, final: bool, after: float = 0.0
) -> Run:
    """The run whose present attempt failed.

    Args:
        run: The run, as `tried` gave it.
        reason: What went wrong.
        options: Of the model.
        now: Unix seconds.
        final: Whether another attempt would change nothing.
        after: Seconds that the target asked to wait.
    """
    if final or run.attempts >= options.attempts:
        return failed(run, f"{run.phase}: {reason} (attempt {run.attempts})", now)
    pause = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(run.attempts - 1, 30))
    pause = max(pause, min(after, _MOST_RETRY_AFTER))
    return replace(run, next_at=now + pause, problem=reason[:_MOST_PROBLEM])
