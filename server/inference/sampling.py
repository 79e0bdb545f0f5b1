"""Gives samples of answered runs to the monitor: once per run, without waiting for the monitor.

    take, count_rows   before the answers are written: count what is sampled
    offer, offer_rows  after that: make bytes of it, see `penstock.monitoring.samples.sample_frames`

So each answered call is in the figures, even if this process is killed right after the answer, and
no answer waits for the bytes.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.metrics import derived
from penstock.monitoring.samples.rate_limit import RateLimit
from penstock.monitoring.samples.run_sample import Failure, Origin, RunSample, array_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.batching.request import Batch
    from penstock.monitoring.samples.sample_buffer import SampleBuffer
    from penstock.server.errors import ApiError
    from penstock.server.serving.servable import Servable

    from .call import Call

#: Larger rows, pictures for example, are not sent to the monitor: dozens of megabytes a second
#: would cost more time than serving the requests does.
MAX_ROW_BYTES: Final = 4096
#: A larger run is sampled by its first rows only: encoding all of it would hold the event loop.
MAX_RUN_BYTES: Final = 8 * 1024 * 1024
#: Rows a second whose figures are computed, of rows that are too large to be sent.
DERIVED_PER_SECOND: Final = 50
#: Failures a second that are sent; the others count as dropped. Bad requests come in floods.
CLIENT_ERRORS_PER_SECOND: Final = 100
SERVER_ERRORS_PER_SECOND: Final = 1000
_SERVER_ERROR: Final = 500
#: Versions with large rows that are remembered; the memory is cleared when it is full.
MAX_ORIGINS: Final = 256


class Sampling:
    """Makes samples of answered runs for the monitor.

    Args:
        buffer: Holds samples until they are sent.
        clock: Unix seconds.
    """

    __slots__ = ("_buffer", "_client_errors", "_clock", "_derived", "_origins", "_server_errors")

    def __init__(self, buffer: SampleBuffer, clock: Callable[[], float] = time.time) -> None:
        self._buffer = buffer
        self._clock = clock
        self._derived = RateLimit(DERIVED_PER_SECOND)
        self._client_errors = RateLimit(CLIENT_ERRORS_PER_SECOND)
        self._server_errors = RateLimit(SERVER_ERRORS_PER_SECOND)
        self._origins: dict[tuple[Origin, tuple[str, ...]], Origin] = {}

    def take(
        self,
        servable: Servable,
        calls: Sequence[Call],
        firsts: Sequence[int],
        batch: Batch,
        answered: Sequence[tuple[Call, Any]],
        arrivals: Sequence[float],
        now: float,
    ) -> RunSample:
        """Choose and count the sampled requests of a run.

        Args:
            servable: The version that ran.
            calls: All calls that shared the run.
            firsts: The first row of each call.
            batch: The finished run.
            answered: The answered calls, each with its answer.
            arrivals: Arrival times of the answered calls.
            now: The time of the answers; the clock of `arrivals`.
        """
        count, rows = len(calls), batch.rows
        everybody = len(arrivals) == count
        first = batch.requests[0]
        sample = RunSample(
            servable.origin,
            first.outputs,
            self._clock(),
            now,
            rows,
            [call.request_id for call in calls],
            arrivals if everybody else [call.arrival for call in calls],
            None if rows == count else firsts,
            [call.arm for call in calls] if servable.routed else None,
            batch.inputs or first.inputs,
            batch.outputs,
            [[one.of(call.head) for call in calls] for one in servable.header_segments] or None,
            clients_of(servable.origin, calls),
        )
        if not everybody:  # a failed or abandoned call is no sample
            well = {id(call) for call, _ in answered}
            sample = sample.only([index for index, call in enumerate(calls) if id(call) in well])
        sample = self._buffer.pick(sample)
        servable.counters.sampled(sample.rows)
        return sample

    def count_rows(self, servable: Servable, ids: Sequence[bytes]) -> list[int] | None:
        """Choose and count the sampled ones among answered requests of one row each.

        Returns:
            Positions of the sampled requests, for `offer_rows`; ``None`` for all requests.
        """
        picked = self._buffer.picked(ids)
        servable.counters.sampled(len(ids) if picked is None else len(picked))
        return picked

    def offer_rows(
        self,
        servable: Servable,
        picked: list[int] | None,
        calls: Sequence[Call],
        ids: Sequence[bytes],
        arrivals: Sequence[float],
        batch: Batch,
        now: float,
    ) -> None:
        """Put the rows that `count_rows` has picked into the buffer.

        Args:
            servable: The version that ran.
            picked: Positions of the requests.
            calls: All requests.
            ids: Ids of all requests.
            arrivals: Arrivals of all requests.
            batch: The run.
            now: Time at which they were answered; the clock of `arrivals`.
        """
        buffer = self._buffer
        inputs, outputs = batch.inputs, batch.outputs
        origin, names = servable.origin, batch.requests[0].outputs
        clients = clients_of(origin, calls)
        kept: bool | None = None
        if picked is None:
            kept = False
            try:
                arrays = (*inputs, *outputs)
                kept = buffer.offer_rows(origin, names, now, ids, arrivals, arrays, clients)
            finally:
                if kept is False:
                    servable.counters.sampled(0, len(ids))
        if kept is None:
            time, rows = self._clock(), batch.rows
            given = origin, names, time, now, rows, ids, arrivals
            sample = RunSample(*given, None, None, inputs, outputs, None, clients)
            self.offer(servable, sample if picked is None else sample.only(picked))

    def offer(self, servable: Servable, sample: RunSample) -> None:
        """Put a sample into the buffer, or count it as dropped if there is no room for it."""
        rows = sample.rows
        if not rows:
            return
        kept = False
        try:
            held = array_bytes((*sample.inputs, *sample.outputs))
            if held > MAX_ROW_BYTES * rows:
                sample = self._shrunk(sample)
                held = array_bytes((*sample.inputs, *sample.outputs))
            if held > MAX_RUN_BYTES:
                sample = sample.beginning(max(1, rows * MAX_RUN_BYTES // held))
                servable.counters.sampled(0, rows - sample.rows)
                rows, held = sample.rows, array_bytes((*sample.inputs, *sample.outputs))
            kept = not rows or self._buffer.offer(sample, held)
        finally:
            if not kept:
                servable.counters.sampled(0, rows)

    def failed(
        self,
        servable: Servable,
        ids: Sequence[bytes],
        error: ApiError,
        latencies: Sequence[float],
        arm: str = "",
    ) -> None:
        """Put requests that were answered with an error into the buffer.

        Args:
            servable: The version of the requests.
            ids: Ids of the requests.
            error: The error that all of them got.
            latencies: Seconds from arrival to answer of each request.
            arm: Their arm in a rollout.
        """
        now = self._clock()
        status, code, origin, kept = error.status, error.code, servable.origin, 0
        server = status >= _SERVER_ERROR
        allowance = self._server_errors if server else self._client_errors
        for position in range(allowance.grant(len(ids), now)):
            kept += self._buffer.offer_failure(
                Failure(origin, now, ids[position], status, code, latencies[position], arm)
            )
        servable.counters.sampled(len(ids), len(ids) - kept)

    def _shrunk(self, sample: RunSample) -> RunSample:
        """The sample with figures in place of inputs with large rows, and without such outputs."""
        rows, origin = sample.rows, sample.origin
        names: list[str] = []
        inputs: list[Any] = []
        granted = self._derived.grant(rows, sample.time)
        for name, array in zip(origin.input_names, sample.inputs, strict=True):
            if array is None or array_bytes([array]) <= MAX_ROW_BYTES * rows:
                names.append(name)
                inputs.append(array)
            elif origin.privacy is None or origin.privacy.passes(name):
                by_rows = array if array.shape[:1] == (rows,) else array[None]
                if len(by_rows) == rows:
                    names += derived.names_of(name)
                    inputs += derived.scalars(by_rows, granted)
        return sample._replace(
            origin=self._named(origin, tuple(names)),
            inputs=inputs,
            outputs=[
                None if array is None or array_bytes([array]) > MAX_ROW_BYTES * rows else array
                for array in sample.outputs
            ],
        )

    def _named(self, origin: Origin, names: tuple[str, ...]) -> Origin:
        """The origin with other input names; made once, so that batches can be joined."""
        known = self._origins.get((origin, names))
        if known is None:
            if len(self._origins) >= MAX_ORIGINS:
                self._origins.clear()
            known = replace(origin, input_names=names)
            self._origins[origin, names] = known
        return known


def clients_of(origin: Origin, calls: Sequence[Call]) -> Sequence[bytes]:
    """Client of each call, by the declared header or else by its address; empty if none is kept."""
    header = origin.client_header
    if header is None:
        return ()
    if header:
        return [call.head.client(header) or call.writer.peer for call in calls]
    return [call.writer.peer for call in calls]
