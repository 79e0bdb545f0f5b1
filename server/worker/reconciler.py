"""Brings the worker in line with the latest target; what is left of older ones is skipped.

A target that could not be applied is tried again, ever more rarely, until it is applied or another
one takes its place.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

from penstock.batching.contained import words
from penstock.server.target.target import Target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from penstock.server.errors.incidents import Incidents
    from penstock.server.target.plan import ModelPlan

LOG = logging.getLogger("penstock.reconciler")

#: Before a target is tried again: after the first failure, and twice as long after each up to the
#: most.
FIRST_PAUSE_SECONDS: Final = 1.0
MAX_PAUSE_SECONDS: Final = 60.0


class Host(Protocol):
    """Who loads and unloads; `penstock.server.serving.host.ModelHost`."""

    def steer(self, models: Mapping[str, ModelPlan]) -> None:
        """Point defaults and aliases at what is loaded already; waits for nothing."""
        ...

    async def apply(self, models: Mapping[str, ModelPlan]) -> None:
        """Serve exactly these models; what cannot be loaded is marked so.

        Raises:
            Exception: Something else failed; a later attempt may succeed.
        """
        ...


class Reconciler:
    """Applies targets.

    Args:
        host: Loads and unloads.
        on_progress: Called when a target was taken up, and again when it was dealt with.
        incidents: Gets the errors that have no caller.
        sleep: Waits so many seconds.

    Attributes:
        problem: Reason for which the latest target is not applied; empty while it is.
        steered: Number of the last target whose defaults and aliases are in force, as far as
            their versions are loaded.
        applied: Number of the last target that was dealt with.
        settled: Set from the first one on.
    """

    def __init__(
        self,
        host: Host,
        on_progress: Callable[[], None],
        incidents: Incidents,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._host = host
        self._on_progress = on_progress
        self._incidents = incidents
        self._sleep = sleep
        self._latest = Target()
        self._arrived = asyncio.Event()
        self._failures = 0
        self.problem = ""
        self.steered = 0
        self.applied = 0
        self.settled = asyncio.Event()

    def aim(self, target: Target) -> None:
        """Go for this target: pointers at once, loads beside those of the target before it."""
        self._latest = target
        self._arrived.set()
        try:
            self._host.steer(target.models)
        except Exception as error:  # noqa: BLE001  to be applied is what it is for
            self._incidents.note("pointing names at loaded versions", error)
        else:
            self.steered = target.number
        self._on_progress()

    async def run(self) -> None:
        """Apply what arrives until cancelled."""
        while True:
            await self._wait()
            self._arrived.clear()
            target = self._latest
            if target.number == self.applied or await self._apply(target):
                self.settled.set()
                self._on_progress()

    async def _wait(self) -> None:
        """Wait for another target; after a failure only until the same one is to be tried again."""
        if not self._failures:
            await self._arrived.wait()
            return
        arrived = asyncio.ensure_future(self._arrived.wait())
        pause = asyncio.ensure_future(self._sleep(pause_seconds(self._failures)))
        try:
            await asyncio.wait({arrived, pause}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            arrived.cancel()
            pause.cancel()

    async def _apply(self, target: Target) -> bool:
        """Apply a target; returns whether it was dealt with before another one arrived.

        A version may take a minute to load, or to turn out never to: a newer target does not wait
        for that. The host goes on with loads that the newer target wants, too.
        """
        applying = asyncio.ensure_future(self._host.apply(target.models))
        arriving = asyncio.ensure_future(self._arrived.wait())
        try:
            await asyncio.wait({applying, arriving}, return_when=asyncio.FIRST_COMPLETED)
            if not applying.done():
                return False
        finally:
            arriving.cancel()
            applying.cancel()
            await asyncio.gather(applying, arriving, return_exceptions=True)
        self._note_end(target, applying)
        return True

    def _note_end(self, target: Target, applying: asyncio.Future[None]) -> None:
        try:
            applying.result()
        except Exception as error:  # noqa: BLE001  it is tried again
            self._failures += 1
            self._incidents.note("applying a target", error)
            self.problem = (
                f"target {target.number} could not be applied, {self._failures} times in a row: "
                f"{words(error)}; it is tried again in {pause_seconds(self._failures):.0f} s"
            )
        else:
            self._failures, self.problem = 0, ""
            self.steered = max(self.steered, target.number)
            self.applied = target.number
            LOG.info("target %d is applied", target.number)


def pause_seconds(failures: int) -> float:
    """From so many failures in a row until the next attempt."""
    return float(min(FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 16), MAX_PAUSE_SECONDS))
