"""The states of a feature and of a version, its episodes, and how one window moves them. Pure.

States of a feature: ``learning`` until there is a baseline, ``provisional`` until the baseline is
of a whole week (no episode opens until then), ``calibrating`` until it is known how much healthy
windows vary (only a gross difference is reported until then), ``ok``, ``changed, small``
(significant and not large), ``warn`` (flagged in one window), ``drift`` (an episode is open), ``too
little data``.

A flag alone is no alarm. An episode opens when two of the last three windows are flagged, or at
once when one is critical; it closes after three that are not, or after more where windows differ
in a cycle, or wander: what is beyond the limit once a day is one episode. Somebody is told when it
opens and when it closes, and not between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from .rule import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .assessment import Assessment
    from .options import DriftOptions

LEARNING: Final = "learning"
PROVISIONAL: Final = "provisional"
CALIBRATING: Final = "calibrating"
CHANGED: Final = "changed, small"
OK: Final = "ok"
WARN: Final = "warn"
DRIFT: Final = "drift"
TOO_LITTLE: Final = "too little data"
#: The worst first.
STATES: Final = (DRIFT, WARN, CHANGED, TOO_LITTLE, LEARNING, PROVISIONAL, CALIBRATING, OK)
#: While it is calibrating, PSI beyond so many times the critical one opens an episode.
_GROSS: Final = 4.0
_LOOK_BACK: Final = 3
_FLAGGED_TO_OPEN: Final = 2
_CLEAN_TO_CLOSE: Final = 3


@dataclass(frozen=True, slots=True)
class Episode:
    """The flags of one subject in past windows, and its episode.

    Attributes:
        recent: Levels of the last windows, newest last.
        open: Whether it drifts.
        since: Unix seconds when the episode opened; 0 when none is open.
        clean: Clean windows in a row.
        critical: Whether a window of the open episode was critical.
        incident: What all episodes that opened in the same window are called together.
    """

    recent: tuple[Level, ...] = ()
    open: bool = False
    since: float = 0.0
    clean: int = 0
    critical: bool = False
    incident: str = ""


def advance(
    episode: Episode, level: Level, end: float, *, calibrating: bool, apart: int = 1
) -> Episode:
    """The episode after one more window.

    Args:
        episode: Before it.
        level: Level of the window; windows with too little data are not shown here.
        end: Unix seconds when the window ended.
        calibrating: Whether it is not known yet how much healthy windows vary: only what is
            critical opens an episode then.
        apart: Windows that must be clean before it closes, if they are more than three.
    """
    recent = (*episode.recent, level)[-_LOOK_BACK:]
    clean = 0 if level.flagged else episode.clean + 1
    if episode.open:
        if clean >= max(_CLEAN_TO_CLOSE, apart):
            return Episode(recent, clean=clean)
        critical = episode.critical or level is Level.CRITICAL
        return replace(episode, recent=recent, clean=clean, critical=critical)
    counted = [one for one in recent if one is Level.CRITICAL or not calibrating]
    flagged = sum(one.flagged for one in counted)
    if level is Level.CRITICAL or (level.flagged and flagged >= _FLAGGED_TO_OPEN):
        return Episode(recent, open=True, since=end, critical=level is Level.CRITICAL)
    return Episode(recent, clean=clean)


def advanced(
    before: Episode,
    one: Assessment,
    end: float,
    phase: str,
    options: DriftOptions,
    apart: int = 1,
) -> Episode:
    """The episode of a feature after a window.

    Args:
        before: The episode before it.
        one: What the window shows of the feature.
        end: Unix seconds when the window ended.
        phase: What is known of the feature.
        options: Of the model.
        apart: Windows that must be clean before an episode is over, see `windows_apart`.
    """
    if phase == PROVISIONAL:
        return before
    level = one.level
    calibrating = phase == CALIBRATING
    if calibrating and level.flagged:
        gross = one.psi > _GROSS * options.psi_critical
        level = Level.CRITICAL if gross else Level.WARN
    return advance(before, level, end, calibrating=calibrating, apart=apart)


def state_of(level: Level, episode: Episode, phase: str) -> str:
    """The state of a feature by its level in a window and its episode after it."""
    if episode.open:
        return DRIFT
    if phase != OK:
        return phase
    return {Level.CLEAN: OK, Level.SMALL: CHANGED}.get(level, WARN)


def state_now(last: str, baseline: str, *, learning: bool) -> str:
    """The state of a version in an arm.

    Args:
        last: State after its last closed window with this baseline; empty before the first.
        baseline: Id of its baseline; empty without one.
        learning: Whether features are still learnt from live rows.
    """
    return last or (CALIBRATING if baseline and not learning else LEARNING)


def unknown_of(findings: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The features of which it is not known how much healthy windows vary.

    Args:
        findings: Of a window, by feature; each with its `phase`.
    """
    return tuple(name for name, one in findings.items() if one.get("phase", OK) != OK)


def stated_rate(expected: float, findings: Mapping[str, Mapping[str, Any]]) -> float | None:
    """The expected false alarms a week, for readers; ``None`` while it is not known.

    It is known as soon as it is known of one feature how much its healthy windows vary.

    Args:
        expected: As `DriftState.expected`.
        findings: Of the last window that was compared; empty if none was.
    """
    return None if len(unknown_of(findings)) >= len(findings) else expected
