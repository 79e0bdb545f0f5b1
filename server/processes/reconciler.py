"""Brings the worker in line with the latest target, one at a time; older ones are skipped."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from .target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.server.registry.plan import ModelPlan

LOG = logging.getLogger("penstock.reconciler")


class Host(Protocol):
    """Who loads and unloads; `penstock.server.registry.host.ModelHost`."""

    def steer(self, models: Mapping[str, ModelPlan]) -> None:
        """Point defaults and aliases at what is loaded already; waits for nothing."""
        ...

    async def apply(self, models: Mapping[str, ModelPlan]) -> None:
        """Serve exactly these models; what cannot be loaded is marked so."""
        ...


class Reconciler:
    """Applies targets.

    Args:
        host: Loads and unloads.
        on_progress: Called when a target was taken up, and again when it was dealt with.

    Attributes:
        steered: Number of the last target whose defaults and aliases are in force, as far as
            their versions are loaded.
        applied: Number of the last target that was dealt with.
        settled: Set from the first one on.
    """

    def __init__(self, host: Host, on_progress: Callable[[], None]) -> None:
        self._host = host
        self._on_progress = on_progress
        self._latest = Target()
        self._arrived = asyncio.Event()
        self.steered = 0
        self.applied = 0
        self.settled = asyncio.Event()

    def aim(self, target: Target) -> None:
        """Go for this target: pointers at once, loads after the target that is being applied."""
        self._latest = target
        self._host.steer(target.models)
        self.steered = target.number
        self._on_progress()
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
            self._on_progress()
