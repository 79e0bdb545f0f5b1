"""The states of a feature and of a version, and how one window moves them. Pure.

States of a feature: ``learning`` until there is a baseline, ``provisional`` until the baseline is
of a whole week (no episode opens until then), ``calibrating`` until it is known how much healthy
windows vary (only a gross difference is reported until then), ``ok``, ``changed, small``
(significant and not large), ``warn`` (flagged in one window), ``drift`` (an episode is open), ``too
little data``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .episode import Episode, advance
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


def unknown_of(findings: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """The features of which it is not known how much healthy windows vary.

    Args:
        findings: Of a window, by feature; each with its `phase`.
    """
    return tuple(name for name, one in findings.items() if one.get("phase", OK) != OK)
