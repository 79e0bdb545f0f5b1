"""Errors inside a process that no caller is told of: counted, logged, and shown in the status.

A timer, a background task or a look at finished answers has no caller. Its error must neither get
lost nor fill a disk when it comes back with every batch.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from penstock.batching.contained import words

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

LOG = logging.getLogger("penstock.incidents")

#: Between two lines about errors in the same place.
QUIET_SECONDS: Final = 10.0
#: Places that are told apart; errors anywhere else are one.
MAX_PLACES: Final = 64
OTHER: Final = "elsewhere"
#: What failed within this time is still told in the status.
RECENT_SECONDS: Final = 600.0
#: Of the text of an error that is kept.
MAX_TEXT: Final = 300


@dataclass(slots=True)
class Incident:
    """Errors in one place.

    Attributes:
        place: Name of the failed part.
        count: Number of errors.
        text: The last error.
        at: Unix seconds of the last error.
        told_at: Monotonic seconds of the last line in the log.
        untold: Errors since then.
    """

    place: str
    count: int = 0
    text: str = ""
    at: float = 0.0
    told_at: float = -QUIET_SECONDS
    untold: int = 0


class Incidents:
    """The errors of one process. Used on its event loop.

    Args:
        clock: Monotonic seconds.
        wall_clock: Unix seconds.

    Attributes:
        on_count: Called with the number of errors so far, after each.
        total: The number of errors so far.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.on_count: Callable[[int], object] = bool
        self.total = 0
        self._clock = clock
        self._wall_clock = wall_clock
        self._places: dict[str, Incident] = {}

    def note(self, place: str, error: BaseException) -> None:
        """Count an error, and log it if that place was quiet lately."""
        if place not in self._places and len(self._places) >= MAX_PLACES:
            place = OTHER
        incident = self._places.setdefault(place, Incident(place))
        incident.count += 1
        incident.text = words(error)[:MAX_TEXT]
        incident.at = self._wall_clock()
        self.total += 1
        self.on_count(self.total)
        now = self._clock()
        if now - incident.told_at < QUIET_SECONDS:
            incident.untold += 1
            return
        more = f" ({incident.untold} more like it since the last line)" if incident.untold else ""
        incident.told_at, incident.untold = now, 0
        LOG.error("%s failed: %s%s", place, incident.text, more, exc_info=error)

    def on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Note what a callback or a forgotten task of the event loop raised."""
        error = context.get("exception")
        if error is None:
            loop.default_exception_handler(context)
        else:
            self.note(_place(context), error)

    def report(self) -> list[dict[str, Any]]:
        """For the status, the latest first."""
        latest = sorted(self._places.values(), key=lambda one: -one.at)
        return [
            {"place": one.place, "count": one.count, "error": one.text, "at": one.at}
            for one in latest
        ]


def recent(incidents: Iterable[dict[str, Any]], now: float) -> list[str]:
    """What an operator should know of such a report: a sentence for each place that failed lately.

    Args:
        incidents: As `Incidents.report` gives them.
        now: Unix seconds.
    """
    return [
        f"{one['place']} failed, {one['count']} times in all, the last time "
        f"{now - one['at']:.0f} s ago: {one['error']}"
        for one in incidents
        if now - one["at"] < RECENT_SECONDS
    ]


def _place(context: dict[str, Any]) -> str:
    """What failed: without addresses of objects, so that the same place is the same text."""
    handle = context.get("handle")
    callback = getattr(handle, "_callback", None)
    name = getattr(callback, "__qualname__", "")
    if name:
        return f"callback {name}"
    return str(context.get("message", OTHER)).partition("(")[0].partition("<")[0].strip()
