"""Moves samples from the worker's buffer to its spool, many requests to a frame."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

import msgpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.monitoring.samples.sample_buffer import SampleBuffer
    from penstock.monitoring.samples.spool import Spool

#: Between the first sample in an empty buffer and its way out.
FLUSH_SECONDS: Final = 0.1


class Sampler:
    """Empties the buffer as soon as there is enough in it, or after a moment.

    Args:
        buffer: Buffer of the inference path.
        spool: To the monitor.
        counters: Counters of this process.
    """

    def __init__(self, buffer: SampleBuffer, spool: Spool, counters: CounterFile) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = buffer
        self._spool = spool
        self._counters = counters
        self._timer: asyncio.TimerHandle | None = None
        buffer.on_first = self._later
        buffer.on_enough = self.flush

    def flush(self) -> None:
        """Hand over what waits; what cannot be handed over is dropped and counted."""
        if not self._buffer.pending_rows:
            return
        rows, frame = self._buffer.drain()
        counts = [[model, version, count] for (model, version), count in rows.items()]
        head = cast("bytes", msgpack.packb(counts))
        kept = False
        try:
            kept = self._spool.append((head, frame), self._loop.time())
        except Exception as error:  # noqa: BLE001  the requests that are sampled go on
            message = {"message": "appending samples failed", "exception": error}
            self._loop.call_exception_handler(message)
        if not kept:
            self._drop(rows)

    def close(self) -> None:
        """Hand over the last samples; what is offered from now on is dropped."""
        if self._timer is not None:
            self._timer.cancel()
        self.flush()
        self._buffer.close()
        self._spool.close()

    def _drop(self, rows: Mapping[tuple[str, str], int]) -> None:
        for (model, version), count in rows.items():
            self._counters.model(model, version).sampled(0, count)

    def _later(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._in_time)

    def _in_time(self) -> None:
        self._timer = None
        self.flush()
