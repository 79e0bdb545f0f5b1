"""Takes versions out of service over which processes died; the supervisor lists the deaths."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.stamp import Stamp, stamp_of
from penstock.server.processes.deaths import read_deaths
from penstock.server.processes.run_directory import ISOLATED_DEATHS
from penstock.server.processes.watchdog import condemned, crashing

from .quarantine import newly_condemned
from .standing_alerts import kept_out

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from .coordinator import Coordinator
    from .standing_alerts import Key

LOG = logging.getLogger("penstock.quarantine")

#: Seconds between two checks: less than a worker takes to restart and load the version again.
CHECK_SECONDS: Final = 0.5


class DeathsWatch:
    """Reads the list of deaths periodically, and quarantines the versions that caused them.

    Args:
        path: Path of the list of the supervisor.
        isolated: Directory of the lists of the workers: deaths of processes of isolated versions.
        coordinator: Plans, and informs the workers.
        tell: Called after each check with all quarantined versions and their reasons.
        sleep: Waits the given seconds.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        path: Path,
        coordinator: Coordinator,
        tell: Callable[[Mapping[Key, str]], object] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wall_clock: Callable[[], float] = time.time,
        isolated: Path | None = None,
    ) -> None:
        self._path = path
        self._isolated = isolated
        self._coordinator = coordinator
        self._tell = tell
        self._sleep = sleep
        self._wall_clock = wall_clock
        self._seen: dict[Path, Stamp] = {}

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await self.look()
            await self._sleep(CHECK_SECONDS)

    async def look(self) -> None:
        """Quarantine the versions that the deaths condemn, and report all quarantined versions."""
        target = self._coordinator.planner.target
        if self._coordinator.looked and target.number:
            self._tell(kept_out(target.models))
        lists = self._lists()
        seen = {path: stamp for path in lists if (stamp := stamp_of(path)) is not None}
        if seen == self._seen or not self._coordinator.looked:
            return  # the digests are not known before the first scan
        self._seen = seen
        planner, now = self._coordinator.planner, self._wall_clock()
        pardoned = planner.pardoned()
        verdicts = {
            **condemned(read_deaths(self._path), now, pardoned),
            **crashing([one for path in lists[1:] for one in read_deaths(path)], now, pardoned),
        }
        digests = {key: result.digest for key, result in planner.findings.results.items()}
        entries = newly_condemned(verdicts, digests, now)
        added = [one for one in entries if await asyncio.to_thread(planner.quarantine.add, one)]
        for entry in added:
            LOG.error("model %s version %d is %s", entry.model, entry.version, entry.reason)
        if added:
            await self._coordinator.replan()

    def _lists(self) -> list[Path]:
        """The list of the supervisor, and those of the workers."""
        if self._isolated is None:
            return [self._path]
        return [self._path, *sorted(self._isolated.glob(f"*{ISOLATED_DEATHS}"))]
