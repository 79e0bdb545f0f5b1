"""Episodes: a flag alone is no alarm. Pure.

An episode opens when two of the last three windows are flagged, or at once when one is critical; it
closes after three that are not, or after more where windows differ in a cycle, or wander: what is
beyond the limit once a day is one episode. Somebody is told when it opens and when it closes, and
not between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from .rule import Level

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
