"""Serves calls that differ in their numbers only.

Where a run is shorter than a hop to a thread they are one request of many rows. Else each is a
request by itself, as on the ordinary way, but read and, if need be, refused with the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from penstock.batching.errors import Overloaded
from penstock.batching.request import InferenceRequest
from penstock.server.errors import ApiError, ClientGone

from .alike import Alike
from .codecs.negotiate import rows_codec

if TYPE_CHECKING:
    from penstock.batching.scheduler import Scheduler
    from penstock.runtimes.contract import Array
    from penstock.server.registry.arms import Arms
    from penstock.server.registry.catalog import Catalog
    from penstock.server.registry.servable import Servable

    from .call import Call
    from .codecs.known_bodies import Frame
    from .codecs.known_raw import RawFrame
    from .codecs.messages import InferRequest
    from .codecs.negotiate import Codec
    from .codecs.signature import WireSignature
    from .head import RequestHead
    from .outlet import Outlet
    from .splits import Splits


class Path(Protocol):
    """The ordinary way; `penstock.server.http.inference.InferencePath`."""

    def start(self, call: Call, body: bytes) -> None:
        """Serve a call with its body."""
        ...

    def resume(self, call: Call, body: bytes, servable: Servable) -> None:
        """The same by a version that was chosen before."""
        ...

    def fail(self, call: Call, error: Exception) -> None:
        """End a call with an error."""
        ...

    def new_id(self) -> bytes:
        """Make up a request id."""
        ...


class Together:
    """Implements `penstock.server.http.lanes.Service`.

    Args:
        catalog: What is served.
        scheduler: Runs it.
        path: The ordinary way.
        splits: Shares requests between two versions.
        outlet: Answers.
    """

    def __init__(
        self, catalog: Catalog, scheduler: Scheduler, path: Path, splits: Splits, outlet: Outlet
    ) -> None:
        self._catalog = catalog
        self._scheduler = scheduler
        self._path = path
        self._splits = splits
        self._outlet = outlet

    def wire(self, head: RequestHead) -> WireSignature | None:
        """See `Service.wire`."""
        try:
            servable = self._catalog.find(head.model, head.version)
        except ApiError:
            return None
        return servable.wire if servable.wire.batch_axis else None

    def serve(self, gathered: list[Alike]) -> None:
        """See `Service.serve`."""
        try:
            self._scheduler.begin_tick()
            for alike in gathered:
                self._serve_safely(alike)
        except Exception as error:  # noqa: BLE001  nobody of them was served
            self._outlet.end([call for alike in gathered for call in alike.calls], error)
        finally:
            self._scheduler.dispatch()

    def _serve_safely(self, alike: Alike) -> None:
        """An error with one lane is not the others' business."""
        try:
            self._serve_lane(alike)
        except Exception as error:  # noqa: BLE001  see above
            self._outlet.end(alike.calls, error)

    def _serve_lane(self, alike: Alike) -> None:
        lane = alike.lane
        model = self._catalog.models.get(lane.model)
        if model is None:
            servable = None
        elif lane.version is not None:
            servable = model.named.get(lane.version)
        elif model.arms is not None:
            self._share(alike, model.arms)
            return
        else:
            servable = model.default
        if servable is None:
            self.singly(alike)
        else:
            self._serve(alike, servable, assigned=False)

    def _share(self, alike: Alike, arms: Arms) -> None:
        """Serve each call by its arm."""
        assigned = []
        for call, numbers in zip(alike.calls, alike.numbers, strict=True):
            call.request_id = self._path.new_id()
            servable = self._splits.assign(call, arms, b"")
            if servable is arms.canary and call.assignment is not None:
                call.assignment.body = alike.lane.body(numbers)
            assigned.append(servable)
        for servable, part in alike.by(assigned).items():
            self._serve(part, servable, assigned=True)

    def _serve(self, alike: Alike, servable: Servable, *, assigned: bool) -> None:
        lane = alike.lane
        frame = lane.frame(servable.wire, alike.numbers[0])
        if frame is None:
            self.singly(alike, servable)
            return
        plain = rows_codec(lane.head.codec, frame.request, servable.wire)
        rows = self._scheduler.short_rows(servable.queue)
        lane.inline = rows > 0
        if not rows:
            self._queue(alike, servable, frame, plain, assigned=assigned)
            return
        gate = servable.gate
        for part in (alike,) if len(alike.calls) <= rows else alike.parts(rows):
            array = frame.read_rows(part.numbers)
            if array is None or not (gate is None or gate.passes([array], len(part.calls))):
                self.singly(part, servable)
            else:
                self._run(part, servable, frame.request, plain, array, assigned=assigned)

    def _queue(
        self,
        alike: Alike,
        servable: Servable,
        frame: Frame | RawFrame,
        plain: Codec | None,
        *,
        assigned: bool,
    ) -> None:
        """Queue each row by itself: runs on threads choose their own sizes."""
        gate, message = servable.gate, frame.request
        for position, (call, numbers) in enumerate(zip(alike.calls, alike.numbers, strict=True)):
            array = None if call.abandoned else frame.read_rows([numbers])
            if array is None or not (gate is None or gate.passes([array], 1)):
                self.singly(Alike(alike.lane, [call], [numbers]), servable)
                continue
            call.request = request = InferenceRequest(
                [array], 1, message.outputs, call.arrival, key=message.key, context=call
            )
            self._prepare(call, servable, message, plain, assigned=assigned)
            servable.counters.enter()
            call.entered = True
            try:
                self._scheduler.submit(servable.queue, request)
            except Overloaded as error:
                # Whoever came in the same look of the loop hears the same.
                servable.counters.leave()
                call.entered = False
                self._refuse(alike.since(position), servable, error, assigned=assigned)
                return
            except Exception as error:  # noqa: BLE001  it is the only one that is not queued
                self._scheduler.cancel(request)
                self._path.fail(call, error)

    def _refuse(
        self, alike: Alike, servable: Servable, error: Overloaded, *, assigned: bool
    ) -> None:
        """Tell them that they are not let in; the first has been counted."""
        servable.queue.rejected[error.reason] += len(alike.calls) - 1
        if not assigned and not any([call.abandoned for call in alike.calls]):  # noqa: C419  twice as fast
            self._outlet.refuse(servable, alike.calls, error)
            return
        for call in alike.calls:
            call.servable = servable
            self._path.fail(call, ClientGone() if call.abandoned else error)

    def singly(self, alike: Alike, servable: Servable | None = None) -> None:
        """Serve each call the ordinary way, so that only the culprit of a failure fails.

        Args:
            alike: The calls.
            servable: What was to serve them.
        """
        for call, body in alike.bodies():
            assigned = call.assignment is not None
            if assigned and servable is not None and self._splits.forsake(call, servable):
                continue
            if call.entered and call.servable is not None:
                call.servable.counters.leave()
                call.entered = False
            if call.abandoned:
                self._path.fail(call, ClientGone())
            elif assigned and servable is not None:
                self._path.resume(call, body, servable)
            else:
                self._path.start(call, body)

    def _run(
        self,
        alike: Alike,
        servable: Servable,
        message: InferRequest,
        plain: Codec | None,
        rows: Array,
        *,
        assigned: bool,
    ) -> None:
        """Run the rows as one request: now and here if that may be, else through the queue."""
        calls = alike.calls
        count = len(calls)
        request = InferenceRequest(
            [rows], count, message.outputs, calls[0].arrival, key=message.key, context=alike
        )
        batch = None
        if plain is not None and not servable.routed and message.key is None:
            batch = self._scheduler.run_now(servable.queue, request)
            if (
                batch is not None
                and batch.error is None
                and not any([call.abandoned for call in calls])  # noqa: C419  twice as fast
                and self._outlet.finish_alike(servable, alike, message, plain, batch)
            ):
                return
        for call in calls:
            self._prepare(call, servable, message, plain, assigned=assigned)
        servable.counters.enter(count)
        for call in calls:
            call.entered = True
        if batch is not None:
            self._outlet.finish(servable, batch)
            return
        try:
            self._scheduler.submit(servable.queue, request)
        except Exception:  # noqa: BLE001  each of them hears on its own why
            self._scheduler.cancel(request)
            self.singly(alike, servable)

    def _prepare(
        self,
        call: Call,
        servable: Servable,
        message: InferRequest,
        plain: Codec | None,
        *,
        assigned: bool,
    ) -> None:
        """What is to be known of a call before it is in flight."""
        call.servable = servable
        call.message = message
        call.plain = plain
        if not assigned:
            call.request_id = self._path.new_id()
