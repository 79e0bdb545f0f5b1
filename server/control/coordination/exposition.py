"""The exposition: the merged metrics of all processes, rendered off the event loop."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, cast

from penstock.monitoring.distribution import server_version
from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.collector import PenstockCollector, exposition
from penstock.monitoring.metrics.exemplars import read_exemplars
from penstock.monitoring.metrics.merge import fold
from penstock.monitoring.metrics.scrape_format import scrape_format
from penstock.monitoring.metrics.triton_collector import TritonCollector
from penstock.server.ports.shared import KEPT_SECONDS, RENDERING_SHARE, SharedAnswers

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from prometheus_client.registry import Collector

    from penstock.monitoring.metrics.merge import Merged


class Exposition:
    """Renders the counter files of a directory; only this object folds old files.

    One text at a time is rendered for all scrapers that ask. Rendering takes at most a tenth of the
    time, or happens once in `KEPT_SECONDS`. Decisions do not wait for it: `figures` waits only for
    another reading of the counters.

    Args:
        directory: Of the counter files.
        triton: Whether Triton's metrics are rendered, too.

    Attributes:
        collectors: The rendered collectors; they collect in a thread of their own.
    """

    def __init__(self, directory: Path, *, triton: bool = False) -> None:
        self._directory = directory
        self.collectors: list[Collector] = [
            PenstockCollector(self._fold, server_version(), partial(read_exemplars, directory))
        ]
        if triton:
            self.collectors.append(TritonCollector(self._fold))
        self._one_folds = threading.Lock()
        self._shared: SharedAnswers[tuple[bytes, bytes]] = SharedAnswers(
            self._make, KEPT_SECONDS, RENDERING_SHARE
        )

    async def render(self, accept: str) -> tuple[bytes, bytes]:
        """Content type and body for a scraper with this Accept header.

        Raises:
            Unavailable: Too many ask at once.
        """
        return await self._shared.get(scrape_format(accept))

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
        return await asyncio.to_thread(self._fold)

    def _fold(self) -> Merged:
        with self._one_folds:
            return fold(self._directory)

    async def _make(self, accept: Hashable) -> tuple[bytes, bytes]:
        return await asyncio.to_thread(exposition, self.collectors, cast("str", accept))
