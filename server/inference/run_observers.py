"""The observers of answered runs: samples for the monitor, input quality, and the shadow.

No observer can fail an answer: an error in an observer is noted, and the answer goes out.

    before, before_coalesced  the answers are ready and not written: what is sampled is counted
    after, after_coalesced    the answers are written
    failed                    calls are answered with an error
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from penstock.batching.request import Batch
    from penstock.monitoring.samples.run_sample import RunSample
    from penstock.runtimes.contract import Array
    from penstock.server.errors import ApiError
    from penstock.server.errors.incidents import Incidents
    from penstock.server.serving.input_validation import Quality
    from penstock.server.serving.servable import Servable

    from .call import Call
    from .sampling import Sampling
    from .shadow_sender import ShadowSender

T = TypeVar("T")

#: Values in which faults are counted in one turn of the loop; texts take 30 ms.
TALLIED_VALUES: Final = 128 * 1024


class Tracer(Protocol):
    """Traces predictions; implemented by `penstock.server.tracing.tracing.Tracing`."""

    def answered(
        self,
        servable: Servable,
        calls: Sequence[Call],
        ids: Sequence[bytes],
        batch: Batch,
        now: float,
    ) -> None:
        """Take calls that one run has answered."""
        ...

    def failed(
        self, servable: Servable | None, call: Call, request_id: bytes, status: int, code: str
    ) -> None:
        """Take a call that ended with an error."""
        ...


class RunObservers:
    """The observers of one worker.

    Attributes:
        tracer: Traces predictions; ``None`` without tracing.
        shadow_senders: The senders of copies, by model and version.

    Args:
        loop: The event loop of the predictions.
        sampling: Gives inputs and outputs to the monitor; ``None`` if there is no monitor.
        incidents: Gets the errors of observers.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, sampling: Sampling | None, incidents: Incidents
    ) -> None:
        self._loop = loop
        self.tracer: Tracer | None = None
        self.shadow_senders: dict[tuple[str, str], ShadowSender] = {}
        self._sampling = sampling
        self._incidents = incidents

    def aside(self, step: Callable[..., T], *args: Any) -> T | None:
        """Take a step on which no answer may depend; ``None`` if it fails."""
        try:
            return step(*args)
        except Exception as error:  # noqa: BLE001  see above
            place = getattr(step, "__qualname__", type(step).__name__)
            self._incidents.note(f"looking at answers ({place})", error)
            return None

    def before(
        self,
        servable: Servable,
        calls: Sequence[Call],
        firsts: Sequence[int],
        batch: Batch,
        answered: Sequence[tuple[Call, Any]],
        arrivals: Sequence[float],
        now: float,
    ) -> RunSample | None:
        """The sample of a run, for `after`; see `Sampling.take`.

        There is none of background requests: rows of a file, which may be of any age, would change
        what the monitor says of the traffic.
        """
        sampling = self._sampling
        if sampling is None or calls[0].head.background:
            return None
        take = sampling.take
        return self.aside(take, servable, calls, firsts, batch, answered, arrivals, now)

    def after(
        self,
        servable: Servable,
        calls: Sequence[Call],
        firsts: Sequence[int],
        batch: Batch,
        sample: RunSample | None,
    ) -> None:
        """Pass on a run whose answers are written, unless its requests are background work."""
        if calls[0].head.background:
            return
        if sample and self._sampling is not None:
            self.aside(self._sampling.offer, servable, sample)
        if self.shadow_senders or servable.tally is not None:
            self._look(servable, calls, firsts, batch)

    def before_coalesced(self, servable: Servable, ids: Sequence[bytes]) -> list[int] | None:
        """As `before`, for requests of one row each; see `Sampling.count_rows`."""
        if self._sampling is None:
            return None
        try:
            return self._sampling.count_rows(servable, ids)
        except Exception as error:  # noqa: BLE001  as in `aside`
            self._incidents.note("looking at answers (Sampling.count_rows)", error)
            return []  # no request was counted

    def after_coalesced(
        self,
        servable: Servable,
        calls: Sequence[Call],
        ids: Sequence[bytes],
        arrivals: Sequence[float],
        batch: Batch,
        picked: list[int] | None,
        now: float,
    ) -> None:
        """As `after`, for requests of one row each, with the result of `before_coalesced`."""
        if self._sampling is not None:
            try:
                self._sampling.offer_rows(servable, picked, calls, ids, arrivals, batch, now)
            except Exception as error:  # noqa: BLE001  as in `aside`
                self._incidents.note("looking at answers (Sampling.offer_rows)", error)
        if self.shadow_senders:
            for call, request_id in zip(calls, ids, strict=True):
                call.request_id = request_id
        if self.shadow_senders or servable.tally is not None:
            self._look(servable, calls, range(batch.rows), batch)

    def failed(
        self,
        servable: Servable,
        ids: Sequence[bytes],
        error: ApiError,
        latencies: Sequence[float],
        arm: str = "",
    ) -> None:
        """Pass on calls that were answered with an error; see `Sampling.failed`."""
        if self._sampling is not None:
            self.aside(self._sampling.failed, servable, ids, error, latencies, arm)

    def trace(
        self,
        servable: Servable,
        answered: Sequence[tuple[Call, Any]],
        batch: Batch,
        now: float,
    ) -> None:
        """Pass calls that a run has answered to the tracer."""
        if self.tracer is not None:
            calls = [call for call, _ in answered]
            ids = [call.request_id for call in calls]
            self.aside(self.tracer.answered, servable, calls, ids, batch, now)

    def trace_coalesced(
        self,
        servable: Servable,
        calls: Sequence[Call],
        ids: Sequence[bytes],
        batch: Batch,
        now: float,
    ) -> None:
        """As `trace`, for requests of one row each, whose ids are given."""
        if self.tracer is not None:
            self.aside(self.tracer.answered, servable, calls, ids, batch, now)

    def trace_failures(
        self,
        servable: Servable | None,
        calls: Sequence[Call],
        ids: Sequence[bytes],
        error: ApiError,
    ) -> None:
        """Pass calls that were answered with an error to the tracer."""
        if self.tracer is not None:
            for call, request_id in zip(calls, ids, strict=True):
                given = (servable, call, request_id, error.status, error.code)
                self.aside(self.tracer.failed, *given)

    def _look(
        self, servable: Servable, calls: Sequence[Call], firsts: Sequence[int], batch: Batch
    ) -> None:
        if servable.tally is not None:
            inputs = batch.inputs or batch.requests[0].inputs  # in parts it has none
            given = [one for one in inputs if one is not None]
            values = sum([one.size for one in given])
            if values > TALLIED_VALUES and {one.shape[:1] for one in given} == {(batch.rows,)}:
                step = max(1, batch.rows * TALLIED_VALUES // values)
                self._tally_in_parts(servable.tally, inputs, range(0, batch.rows, step))
            else:
                self.aside(servable.tally.tally, inputs)
        if self.shadow_senders:
            self.aside(self._copy, servable, calls, firsts, batch)

    def _tally_in_parts(
        self, quality: Quality, inputs: Sequence[Array | None], parts: range
    ) -> None:
        """Count the faults of some rows now, and of the others in later turns of the loop.

        Args:
            quality: The rules.
            inputs: Arrays with the same rows.
            parts: The first row of each part; its step is the rows of a part.
        """
        first, last = parts[0], parts[0] + parts.step
        self.aside(quality.tally, [None if one is None else one[first:last] for one in inputs])
        if parts[1:]:
            self._loop.call_soon(self._tally_in_parts, quality, inputs, parts[1:])

    def _copy(
        self, servable: Servable, calls: Sequence[Call], firsts: Sequence[int], batch: Batch
    ) -> None:
        """Give inputs and outputs to the shadow sender of this version, if there is one."""
        sender = self.shadow_senders.get((servable.name, servable.version))
        if sender is not None:
            sender.offer(calls, [*firsts, batch.rows], servable.wire.input_names, batch)
