"""Brings the worker in line with the latest target, one at a time; older ones are skipped."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from .target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.server.registry.repository import ModelEntry

LOG = logging.getLogger("penstock.reconciler")


class Host(Protocol):
    """Who loads and unloads; `penstock.server.registry.host.ModelHost`."""

    async def apply(self, models: Mapping[str, ModelEntry]) -> None:
        """Serve exactly these models; what cannot be loaded is marked so."""
        ...


class Reconciler:
    """Applies targets.

    Args:
        host: Loads and unloads.
        on_applied: Called after each target was dealt with.

    Attributes:
        applied: Number of the last target that was dealt with.
        settled: Set from the first one on.
    """

    def __init__(self, host: Host, on_applied: Callable[[], None]) -> None:
        self._host = host
        self._on_applied = on_applied
        self._latest = Target()
        self._arrived = asyncio.Event()
        self.applied = 0
        self.settled = asyncio.Event()

    def aim(self, target: Target) -> None:
        """Go for this target, after the one that is being applied."""
        self._latest = target
        self._arrived.set()

    async def run(self) -> None:
        """Apply what arrives until cancelled."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            target = self._latest
            if target.number != self.applied:
                try:
                    await self._host.apply(target.models)
                except Exception:
                    LOG.exception("target %d could not be applied", target.number)
                else:
                    self.applied = target.number
                    LOG.info("target %d is applied", target.number)
            self.settled.set()
            self._on_applied()
