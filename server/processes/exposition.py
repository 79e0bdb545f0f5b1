"""The merged metrics of all processes, made off the event loop, one at a time."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from penstock.monitoring import layout
from penstock.monitoring.collector import PenstockCollector, exposition
from penstock.monitoring.distribution import server_version
from penstock.monitoring.merge import fold

if TYPE_CHECKING:
    from pathlib import Path

    from prometheus_client.registry import Collector

    from penstock.monitoring.merge import Merged


class Exposition:
    """Renders the counter files of a directory; the only one who folds there.

    Attributes:
        collectors: What is rendered; other parts add theirs. They collect in a thread of their own.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.collectors: list[Collector] = [
            PenstockCollector(partial(fold, directory), server_version())
        ]
        self._one_at_a_time = asyncio.Lock()

    async def render(self, accept: str) -> tuple[bytes, bytes]:
        """Content type and body for a scraper that accepts this."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(exposition, self.collectors, accept)

    async def served(self) -> set[tuple[str, int]]:
        """Models and versions that have answered a request."""
        blocks = (await self.figures()).blocks
        statuses = slice(layout.STATUS, layout.STATUS + len(layout.STATUS_LABELS))
        return {
            (model, int(version))
            for (model, version), slots in blocks.items()
            if version.isdecimal() and any(slots[statuses])
        }

    async def figures(self) -> Merged:
        """The counters of all processes."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(fold, self._directory)
