"""Moves samples from the worker's buffer to its link, many requests to a frame."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from penstock.monitoring.sample_frames import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.monitoring.metrics import CounterFile
    from penstock.monitoring.outgoing import Outgoing
    from penstock.monitoring.sample_buffer import SampleBuffer
    from penstock.monitoring.taken import Failure, Taken

    from .sample_link import SampleLink

#: Between the first sample in an empty buffer and its way out.
FLUSH_SECONDS: Final = 0.1
#: Between two frames of what has gathered meanwhile.
SOON_SECONDS: Final = 0.01
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
        self._loop = asyncio.get_running_loop()
        self._buffer = buffer
        self._link = link
        self._outgoing = outgoing
        self._counters = counters
        self._timer: asyncio.TimerHandle | None = None
        buffer.on_first = self._later
        buffer.on_enough = self.flush

    def flush(self) -> None:
        """Hand over what waits, if there is room; of much, a part, and the rest soon."""
        if self._outgoing.has_room and self._buffer.pending_rows:
            taken, failures = self._buffer.drain()
            payload = encode(taken, failures, self._buffer.rate)
            self._link.send(rows_of(taken, failures), payload)
            if self._buffer.enough:
                self._later(SOON_SECONDS)

    async def close(self) -> None:
        """Hand over the last samples and wait until they are kept; count what is not."""
        if self._timer is not None:
            self._timer.cancel()
        while self._buffer.pending_rows and self._outgoing.has_room:
            self.flush()
        self._buffer.close()
        await self._link.wait_acknowledged(LAST_SECONDS)
        # What was sent may have arrived: the monitor knows, and counts it as lost if it has not.
        self._drop(self._outgoing.unsent_rows())
        while self._buffer.pending_rows:
            self._drop(rows_of(*self._buffer.drain()))

    def _drop(self, left: Mapping[tuple[str, str], int]) -> None:
        for (model, version), rows in left.items():
            self._counters.model(model, version).sampled(0, rows)

    def _later(self, seconds: float = FLUSH_SECONDS) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._in_time)

    def _in_time(self) -> None:
        self._timer = None
        self.flush()
        if self._buffer.pending_rows:
            self._later()


def rows_of(taken: Sequence[Taken], failures: Sequence[Failure]) -> dict[tuple[str, str], int]:
    """Rows by model and version."""
    rows: dict[tuple[str, str], int] = {}
    for one in taken:
        labels = one.origin.model, one.origin.version
        rows[labels] = rows.get(labels, 0) + one.picked_rows
    for failure in failures:
        labels = failure.origin.model, failure.origin.version
        rows[labels] = rows.get(labels, 0) + 1
    return rows
