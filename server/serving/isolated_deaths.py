"""Takes an isolated version out of service whose processes keep dying."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.server.processes.watchdog import crashing

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from penstock.server.isolation.limits import Death
    from penstock.server.processes.deaths import DeathList
    from penstock.server.processes.watchdog import Death as BlamedDeath


class IsolatedDeaths:
    """Counts the deaths of the processes of each isolated version of this process.

    Args:
        loop: The event loop of `take_out`.
        deaths: List of the deaths, which control reads, too.
        wall_clock: Unix seconds.

    Attributes:
        take_out: Takes a version out of service, with the reason.
        changes: Grows with each end and each restart of a process.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deaths: DeathList,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.take_out: Callable[[str, str, str], object]
        self.changes = 0
        self._loop = loop
        self._deaths = deaths
        self._wall_clock = wall_clock

    def note(self, name: str, version: str, death: Death | None) -> None:
        """Note the end of a process of a version, or that one runs again; called on any thread."""
        self.changes += 1
        if death is None or not death.blamed:
            return
        deaths = self._deaths.add(name, version, death.detail)
        with suppress(RuntimeError):  # the loop is closed: nobody is served any more
            self._loop.call_soon_threadsafe(self._check, deaths)

    def forgive(self, name: str, version: str) -> None:
        """Begin to count anew: the version was loaded again."""
        self._deaths.forgive(name, version)

    def _check(self, deaths: Iterable[BlamedDeath]) -> None:
        for (name, version), reason in crashing(deaths, self._wall_clock()).items():
            self.take_out(name, version, reason)
