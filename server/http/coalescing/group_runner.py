"""Serves groups of calls that differ in their numbers only.

If the predicted run is shorter than a hop to a thread, the calls of a group run as one request of
many rows. Otherwise each call is a request of its own, but all of them are read, and refused,
together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from penstock.batching.errors import Overloaded
from penstock.batching.request import InferenceRequest
from penstock.server.codecs.negotiate import rows_codec
from penstock.server.errors import ClientGone
from penstock.server.inference.coalesced_calls import CoalescedCalls

if TYPE_CHECKING:
    from penstock.batching.scheduler import Scheduler
    from penstock.runtimes.contract import Array
    from penstock.server.codecs.messages import InferRequest
    from penstock.server.codecs.negotiate import Codec
    from penstock.server.inference.call import Call
    from penstock.server.inference.responder import Responder
    from penstock.server.inference.traffic_splitter import TrafficSplitter
    from penstock.server.serving.active_split import ActiveSplit
    from penstock.server.serving.catalog import Catalog
    from penstock.server.serving.servable import Servable

    from .group import CoalescingGroup
    from .raw_template import RawTemplate
    from .text_template import TextTemplate


class Path(Protocol):
    """Serves single calls; implemented by `InferencePath`."""

    def start(self, call: Call, body: bytes) -> None:
        """Serve a call with its body."""
        ...

    def resume(self, call: Call, body: bytes, servable: Servable) -> None:
        """Serve a call with its body by a version that was chosen before."""
        ...

    def fail(self, call: Call, error: Exception) -> None:
        """End a call with an error."""
        ...

    def new_id(self) -> bytes:
        """Make a request id."""
        ...


class GroupRunner:
    """Implements `penstock.server.http.coalescing.coalescer.Runner`.

    Args:
        catalog: The served models.
        scheduler: Runs the versions.
        path: Serves single calls.
        splitter: Divides requests between two versions.
        responder: Answers the calls of a group together.
    """

    def __init__(
        self,
        catalog: Catalog,
        scheduler: Scheduler,
        path: Path,
        splitter: TrafficSplitter,
        responder: Responder,
    ) -> None:
        self._catalog = catalog
        self._scheduler = scheduler
        self._path = path
        self._splitter = splitter
        self._responder = responder

    def serve(self, gathered: list[CoalescedCalls[CoalescingGroup]]) -> None:
        """See `Runner.serve`."""
        try:
            self._scheduler.begin_tick()
            for coalesced in gathered:
                try:
                    self._serve_group(coalesced)
                except Exception as error:  # noqa: BLE001  an error with one group is its own
                    self._responder.end(coalesced.calls, error)
        except Exception as error:  # noqa: BLE001  nobody of them was served
            self._responder.end([call for one in gathered for call in one.calls], error)
        finally:
            self._scheduler.dispatch()

    def _serve_group(self, coalesced: CoalescedCalls[CoalescingGroup]) -> None:
        group = coalesced.group
        model = self._catalog.models.get(group.model)
        if model is None:
            servable = None
        elif group.version is not None:
            servable = model.named.get(group.version)
        elif model.active_split is not None:
            if model.active_split.memory.segments is not None:
                self.singly(coalesced)  # segments are read from the message of each request
                return
            self._share(coalesced, model.active_split)
            return
        else:
            servable = model.default
        if servable is None:
            self.singly(coalesced)
        else:
            self._serve(coalesced, servable, assigned=False)

    def _share(self, coalesced: CoalescedCalls[CoalescingGroup], active_split: ActiveSplit) -> None:
        """Assign each call to its arm, and serve each arm's calls as a group."""
        assigned = []
        for call, numbers in zip(coalesced.calls, coalesced.numbers, strict=True):
            call.request_id = self._path.new_id()
            servable = self._splitter.assign(call, active_split, b"")
            if servable is active_split.canary and call.assignment is not None:
                call.assignment.body = coalesced.group.body(numbers)
            assigned.append(servable)
        for servable, part in coalesced.by(assigned).items():
            self._serve(part, servable, assigned=True)

    def _serve(
        self, coalesced: CoalescedCalls[CoalescingGroup], servable: Servable, *, assigned: bool
    ) -> None:
        group = coalesced.group
        template = group.template(servable.wire)
        if template is None:
            self.singly(coalesced, servable)
            return
        plain = rows_codec(group.codec, template.request, servable.wire)
        rows = self._scheduler.short_rows(servable.scheduled)
        group.inline = rows > 0
        if not rows:
            self._queue(coalesced, servable, template, plain, assigned=assigned)
            return
        validation = servable.validation
        for part in (coalesced,) if len(coalesced.calls) <= rows else coalesced.parts(rows):
            array = template.read_rows(part.numbers)
            if array is None or not (validation is None or validation.passes([array])):
                self.singly(part, servable)
            else:
                self._run(part, servable, template.request, plain, array, assigned=assigned)

    def _queue(
        self,
        coalesced: CoalescedCalls[CoalescingGroup],
        servable: Servable,
        template: TextTemplate | RawTemplate,
        plain: Codec | None,
        *,
        assigned: bool,
    ) -> None:
        """Queue each row by itself: runs on threads choose their own sizes."""
        validation, message = servable.validation, template.request
        for position, (call, numbers) in enumerate(
            zip(coalesced.calls, coalesced.numbers, strict=True)
        ):
            array = None if call.abandoned else template.read_rows([numbers])
            if array is None or not (validation is None or validation.passes([array])):
                self.singly(CoalescedCalls(coalesced.group, [call], [numbers]), servable)
                continue
            call.request = request = InferenceRequest(
                [array], 1, message.outputs, call.arrival, key=message.key, context=call
            )
            self._prepare(call, servable, message, plain, assigned=assigned)
            servable.counters.enter()
            call.entered = True
            try:
                self._scheduler.submit(servable.scheduled, request)
            except Overloaded as error:
                # Requests that arrived in the same iteration of the loop get the same answer.
                servable.counters.leave()
                call.entered = False
                self._refuse(coalesced.since(position), servable, error, assigned=assigned)
                return
            except Exception as error:  # noqa: BLE001  it is the only one that is not queued
                self._scheduler.cancel(request)
                self._path.fail(call, error)

    def _refuse(
        self,
        coalesced: CoalescedCalls[CoalescingGroup],
        servable: Servable,
        error: Overloaded,
        *,
        assigned: bool,
    ) -> None:
        """Answer calls that are not admitted."""
        if not assigned and not any([call.abandoned for call in coalesced.calls]):  # noqa: C419  twice as fast
            self._responder.refuse(servable, coalesced.calls, error)
            return
        for call in coalesced.calls:
            call.servable = servable
            self._path.fail(call, ClientGone() if call.abandoned else error)

    def singly(
        self, coalesced: CoalescedCalls[CoalescingGroup], servable: Servable | None = None
    ) -> None:
        """Serve each call by itself, so that only the call that causes an error gets it.

        Args:
            coalesced: The calls.
            servable: The version that was to serve them.
        """
        for call, body in coalesced.bodies():
            assigned = call.assignment is not None
            if assigned and servable is not None and self._splitter.forsake(call, servable):
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
        coalesced: CoalescedCalls[CoalescingGroup],
        servable: Servable,
        message: InferRequest,
        plain: Codec | None,
        rows: Array,
        *,
        assigned: bool,
    ) -> None:
        """Run the rows as one request: at once on the loop if possible, else through the queue."""
        calls = coalesced.calls
        count = len(calls)
        request = InferenceRequest(
            [rows], count, message.outputs, calls[0].arrival, key=message.key, context=coalesced
        )
        batch = None
        together = not servable.routed and not servable.header_segments
        if plain is not None and together and message.key is None:
            batch = self._scheduler.run_now(servable.scheduled, request)
            if (
                batch is not None
                and batch.error is None
                and not any([call.abandoned for call in calls])  # noqa: C419  twice as fast
                and self._responder.finish_coalesced(servable, coalesced, message, plain, batch)
            ):
                return
        for call in calls:
            self._prepare(call, servable, message, plain, assigned=assigned)
        servable.counters.enter(count)
        for call in calls:
            call.entered = True
        if batch is not None:
            self._responder.finish(servable, batch)
            return
        try:
            self._scheduler.submit(servable.scheduled, request)
        except Exception:  # noqa: BLE001  each of them hears on its own why
            self._scheduler.cancel(request)
            self.singly(coalesced, servable)

    def _prepare(
        self,
        call: Call,
        servable: Servable,
        message: InferRequest,
        plain: Codec | None,
        *,
        assigned: bool,
    ) -> None:
        """Set the fields that a call needs before it is in flight."""
        call.servable = servable
        call.message = message
        call.plain = plain
        if not assigned:
            call.request_id = self._path.new_id()
