"""Alarms of a drift rule in healthy traffic and after changes, and its threshold. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from .drift_streams import BEFORE, DAY, HALF_MONTH

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Windows without a flag after which an alarm is over.
_QUIET: Final = 3


@dataclass(frozen=True, slots=True)
class Scores:
    """What one setting of a rule says of windows; above `limit` a window is flagged.

    Attributes:
        limit: Of this setting.
        healthy: A score for each window without a change, after the baseline.
        trials: For each trial, a score for each window.
        week: A score for each window of the baseline itself; empty if the rule has none.
    """

    limit: float
    healthy: Sequence[float]
    trials: Sequence[Sequence[float]]
    week: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Alarms of a rule in all seeds of one kind of stream.

    Attributes:
        months: Of healthy traffic.
        alarms: In them.
        days: Of these months on which an alarm was open.
        trials: Changes.
        delays: Hours from each change that was found to its alarm.
    """

    months: float
    alarms: int
    days: int
    trials: int
    delays: tuple[int, ...]


def openings(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Places of the first and the last flag of each alarm."""
    found: list[tuple[int, int]] = []
    for place, flag in enumerate(flags):
        if flag and found and place - found[-1][1] <= _QUIET:
            found[-1] = found[-1][0], place
        elif flag:
            found.append((place, place))
    return found


def delay(flags: Sequence[bool]) -> int | None:
    """Hours from the change to the end of the window that opens the first alarm after it."""
    opened = [first for first, _ in openings(flags) if first >= BEFORE]
    return opened[0] - BEFORE + 1 if opened else None


def finding(seeds: Sequence[Scores], limit: float | None = None) -> Finding:
    """What a rule does.

    Args:
        seeds: The same setting with each seed.
        limit: In place of the setting's own.
    """
    alarms = days = 0
    delays: list[int] = []
    for one in seeds:
        line = one.limit if limit is None else limit
        found = openings([score > line for score in one.healthy])
        alarms += len(found)
        days += len({
            place // DAY for first, last in found for place in range(first, last + 1)
        })  # fmt: skip
        late = [delay([score > line for score in trial]) for trial in one.trials]
        delays += [hours for hours in late if hours is not None]
    months = sum(len(one.healthy) for one in seeds) / (2 * HALF_MONTH)
    return Finding(months, alarms, days, sum(len(one.trials) for one in seeds), tuple(delays))


def learnt(seeds: Sequence[Scores]) -> Finding | None:
    """What a rule does whose threshold is the highest score of the baseline's own windows.

    It has seen what Penstock has seen.

    Returns:
        ``None`` if it has no scores of the baseline.
    """
    if not all(one.week for one in seeds):
        return None
    return finding([replace(one, limit=max(one.week)) for one in seeds])


def at_most(seeds: Sequence[Sequence[Scores]], alarms: float) -> Finding | None:
    """What a rule does at the laxest threshold that raises so many alarms in the healthy traffic.

    A threshold so low that an alarm never ends has few alarms, too. So the search starts at the
    strictest, and ends where a laxer one raises too many.

    Args:
        seeds: For each seed all settings, the most cautious last. A setting with scores has all
            thresholds; one with flags (scores of 0 and 1) its own.
        alarms: A month.

    Returns:
        ``None`` if the most cautious setting raises more.
    """
    best: Finding | None = None
    for setting in reversed(list(zip(*seeds, strict=True))):
        scores = sorted({score for one in setting for score in one.healthy}, reverse=True)
        lines = [0.5] if set(scores) <= {0.0, 1.0} else scores
        for line in lines:
            found = finding(setting, line)
            if found.alarms > alarms * found.months:
                return best
            best = found
        if len(lines) > 1:
            return best
    return best
