"""Moves samples from the worker's buffer to its link, many requests to a frame."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from penstock.monitoring.sample_frames import encode

if TYPE_CHECKING:
    from penstock.monitoring.metrics import CounterFile
    from penstock.monitoring.outgoing import Outgoing
    from penstock.monitoring.samples import SampleBuffer

    from .sample_link import SampleLink

#: Between the first sample in an empty buffer and its way out.
FLUSH_SECONDS: Final = 0.1
#: How long a stopping worker waits for the monitor to have everything.
LAST_SECONDS: Final = 3.0


class Sampler:
    """Empties the buffer while there is something in it and room on the other side.

    Args:
        buffer: Of the inference path.
        link: To the monitor.
        outgoing: What the link has not got rid of.
        counters: Of this process.
    """

    def __init__(
        self, buffer: SampleBuffer, link: SampleLink, outgoing: Outgoing, counters: CounterFile
    ) -> None:
        self._buffer = buffer
        self._link = link
        self._outgoing = outgoing
        self._counters = counters

    async def run(self) -> None:
        """Flush until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.flush()

    def flush(self) -> None:
        """Hand over what waits."""
        if self._buffer.pending_rows and self._outgoing.has_room:
            samples = self._buffer.drain()
            rows: dict[tuple[str, str], int] = {}
            for one in samples:
                labels = one.model, one.version
                rows[labels] = rows.get(labels, 0) + one.rows
            self._link.send(rows, encode(samples))

    async def close(self) -> None:
        """Hand over the last samples and wait until they are kept; count what is not."""
        self.flush()
        await self._link.wait_acknowledged(LAST_SECONDS)
        for (model, version), rows in self._left().items():
            self._counters.model(model, version).sampled(0, rows)

    def _left(self) -> dict[tuple[str, str], int]:
        left = self._outgoing.rows()
        for one in self._buffer.drain():
            labels = one.model, one.version
            left[labels] = left.get(labels, 0) + one.rows
        return left
