"""Whether a retraining should start now, and why. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.server.config.retrain_options import RetrainOptions

    from .run import Run

#: The triggers that are alerts, the most serious first.
ALERTS: Final = ("performance", "drift")


@dataclass(frozen=True, slots=True)
class Incident:
    """An open alert about the model that nobody has muted.

    Attributes:
        kind: ``drift`` or ``performance``.
        version: Version that it is about; empty for all.
        episode: Names it.
        summary: What is wrong, in words.
        time: Unix seconds of its beginning.
    """

    kind: str
    version: str
    episode: str
    summary: str
    time: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a decision rests on. Times are Unix seconds.

    Attributes:
        version: The version that serves; ``None`` if none does.
        published_at: When that version was published; ``None`` if nobody knows.
        trial: Whether another version is on trial.
        incidents: Open alerts about the model.
        since: Since when this server knows of the retraining.
        last: The last run; ``None`` if there was none.
    """

    version: int | None
    published_at: float | None
    trial: bool
    incidents: tuple[Incident, ...]
    since: float
    last: Run | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided.

    Attributes:
        start: Whether a run starts.
        reason: Why, or why not.
        trigger: Of a start: what starts it.
        incident: Of a start by an alert: its episode.
        at: Of no start: when the time alone changes this; infinite if it does not.
    """

    start: bool
    reason: str
    trigger: str = ""
    incident: str = ""
    at: float = math.inf


def decide(options: RetrainOptions, seen: Snapshot, now: float) -> Decision:
    """Whether a run should start now.

    Args:
        options: Of the model.
        seen: What is so.
        now: Unix seconds.
    """
    wait = obstacle(options, seen, now)
    found = _trigger(options, seen, now)
    if wait is None:
        return found
    if not found.start:
        return Decision(start=False, reason=found.reason, at=max(found.at, wait.at))
    return Decision(
        start=False, reason=f"{found.trigger} asks for a run, but {wait.reason}", at=wait.at
    )


def obstacle(options: RetrainOptions, seen: Snapshot, now: float) -> Decision | None:
    """What forbids a run whatever asks for it; ``None`` if nothing does."""
    last = seen.last
    if last is not None and not last.final:
        return Decision(start=False, reason=f"{last.id} is {last.phase}")
    if seen.version is None:
        return Decision(start=False, reason="no version serves")
    if seen.trial:
        return Decision(start=False, reason="another version is on trial")
    if last is not None and now < last.decided_at + options.period:
        again = last.decided_at + options.period
        return Decision(
            start=False,
            reason=f"the last one began less than a period of {options.period:g} s ago",
            at=again,
        )
    return None


def _trigger(options: RetrainOptions, seen: Snapshot, now: float) -> Decision:
    dues = [*_incidents(options, seen), *_times(options, seen)]
    for at, found in dues:
        if now >= at:
            return found
    at = min((at for at, _ in dues), default=math.inf)
    waits = [found.trigger for _, found in dues if found.incident]
    reason = f"{waits[0]} has begun, and is given time" if waits else "nothing asks for a run"
    return Decision(start=False, reason=reason, at=at)


def _incidents(options: RetrainOptions, seen: Snapshot) -> Iterator[tuple[float, Decision]]:
    """What open alerts about the version that serves, or about all versions, start, and when."""
    wanted = {"", str(seen.version)}
    for kind in ALERTS:
        if kind in options.triggers:
            found = (one for one in seen.incidents if one.kind == kind and one.version in wanted)
            for one in sorted(found, key=lambda incident: incident.time):
                yield (
                    one.time + options.delay,
                    Decision(start=True, reason=one.summary, trigger=kind, incident=one.episode),
                )


def _times(options: RetrainOptions, seen: Snapshot) -> Iterator[tuple[float, Decision]]:
    """What the time alone starts, and when."""
    if options.max_age is not None and seen.published_at is not None:
        reason = f"version {seen.version} is older than {options.max_age:g} s"
        yield (
            seen.published_at + options.max_age,
            Decision(start=True, reason=reason, trigger="age"),
        )
    if options.every is not None:
        before = seen.since if seen.last is None else max(seen.since, seen.last.decided_at)
        reason = f"{options.every:g} s have passed since the last one"
        yield before + options.every, Decision(start=True, reason=reason, trigger="schedule")
