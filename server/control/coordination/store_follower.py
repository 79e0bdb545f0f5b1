"""Follows the registry of an object store for as long as the server runs."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.decoding import ContentError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock.server.store.replica import Replica

LOG = logging.getLogger("penstock.store")

#: Longest wait after errors, unless the usual one is longer.
_MAX_RETRY_SECONDS: Final = 15.0


class StoreFollower:
    """Polls a store, and tells when something is new.

    Args:
        replica: The directory that is kept in step.
        url: The store, for people.
        poll_seconds: Between two polls.
        clock: Unix seconds.
        sleep: Waits so many seconds.
        chance: Gives numbers from 0 to 1, so that servers do not ask all at once.

    Attributes:
        on_change: Called when something is new.
        known: Set when the directory shows a registry: then it can be served.
    """

    def __init__(
        self,
        replica: Replica,
        url: str,
        poll_seconds: float,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._replica = replica
        self._url = url
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._reason = ""
        self._failures = 0
        self._since = 0.0
        self._asking = asyncio.Lock()
        self.on_change: Callable[[], object] = lambda: None
        self.known = asyncio.Event()
        if not replica.empty:
            self.known.set()

    async def poll(self) -> OSError | None:
        """Ask once; returns the error of the store or of the directory, if there is one."""
        async with self._asking:  # the replica is for one thread at a time
            return await self._ask()

    async def _ask(self) -> OSError | None:
        try:
            changed = await asyncio.to_thread(self._replica.poll)
        except (ContentError, OSError) as error:
            self._note(str(error))
            return error if isinstance(error, OSError) else None
        if self._failures:
            LOG.info("%s answers again", self._url)
        self._reason, self._failures = "", 0
        self.known.set()
        if changed:
            self.on_change()
        return None

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self.poll()
            wait = self._poll_seconds * 2.0 ** min(max(self._failures - 1, 0), 16)
            wait = min(wait, max(self._poll_seconds, _MAX_RETRY_SECONDS))
            await self._sleep(wait * (0.8 + 0.2 * self._chance()))

    def problems(self) -> list[dict[str, str]]:
        """The problems of the store, for the status: since when it fails, and what is missing."""
        found = [{"path": path, "reason": why} for path, why in self._replica.problems().items()]
        if self._failures:
            since = datetime.fromtimestamp(self._since, UTC).isoformat(timespec="seconds")
            going_on = "" if self._replica.empty else "; what was fetched before is served"
            reason = f"fails since {since}: {self._reason}{going_on}"
            found.insert(0, {"path": self._url, "reason": reason})
        return found

    def _note(self, reason: str) -> None:
        if not self._failures:
            self._since = self._clock()
        if reason != self._reason:
            LOG.warning("%s", reason)
        self._reason, self._failures = reason, self._failures + 1
