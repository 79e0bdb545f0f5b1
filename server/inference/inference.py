"""The inference path of a prediction, the same for both front ends.

    start    match model and version, decode (on a thread if the body is large)
    _enqueue hand it to the scheduler, which batches and runs it
    finish   split, encode, answer, count, sample       (`penstock.server.inference.responder`)

Each step is one call; nothing calls back up. A call is answered exactly once, or abandoned.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from penstock.batching.contained import contained
from penstock.batching.request import InferenceRequest
from penstock.server.codecs.compression import decompress
from penstock.server.codecs.empty import one_row
from penstock.server.codecs.negotiate import rows_codec
from penstock.server.errors import ClientGone

from .halt_poll import HaltPoll
from .large_answers import LargeAnswers
from .request_ids import RequestIds
from .responder import Responder
from .run_observers import RunObservers
from .traffic_splitter import TrafficSplitter

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

    from penstock.batching.request import Batch
    from penstock.batching.scheduler import Scheduler
    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.server.codecs.messages import InferRequest
    from penstock.server.codecs.signature import WireSignature
    from penstock.server.errors.incidents import Incidents
    from penstock.server.ports.limits import Limits
    from penstock.server.serving.catalog import Catalog
    from penstock.server.serving.input_validation import Examination
    from penstock.server.serving.servable import Servable

    from .call import Call
    from .head import RequestHead
    from .sampling import Sampling
    from .shadow_sender import ShadowSender


#: A tensor in a larger body may have to be copied, because it is not aligned, for longer than the
#: event loop can be held.
QUICK_BYTES: Final = 4 * 1024 * 1024


#: A request that was decoded on a thread, and the result of its input validation.
Decoded = tuple["InferRequest", "Examination | None"]


class BodyTemplates(Protocol):
    """Decodes bodies by their templates.

    Implemented by `penstock.server.http.coalescing.coalescer.Coalescer`.
    """

    def read(self, call: Call, body: bytes, wire: WireSignature) -> InferRequest | None:
        """Decode a body by its template; ``None`` if the codec has to decode it."""
        ...


class InferencePath:
    """Serves predictions: from the body of a request to its answer.

    Args:
        loop: The event loop of all steps but the decoding and encoding of large bodies.
        catalog: The served models.
        scheduler: Runs the versions.
        counters: Counters of this process.
        sampling: Gives inputs and outputs to the monitor; ``None`` without a monitor.
        threads: Decodes large bodies and encodes large answers.
        limits: Limits of bodies.
        incidents: Gets errors that have no caller.
        clock: Monotonic seconds, the scheduler's.

    Attributes:
        splitter: Divides requests between two versions.
        responder: Writes every answer and every error.
        templates: Decode known bodies; ``None`` without coalescing.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        catalog: Catalog,
        scheduler: Scheduler,
        counters: CounterFile,
        sampling: Sampling | None,
        threads: Executor,
        limits: Limits,
        incidents: Incidents,
        clock: Callable[[], float],
    ) -> None:
        self.templates: BodyTemplates | None = None
        self._limits = limits
        self._loop = loop
        self._catalog = catalog
        self._scheduler = scheduler
        self._threads = threads
        self._incidents = incidents
        self._ids = RequestIds()
        self.splitter = TrafficSplitter(loop, catalog, scheduler, self.resume, clock)
        self.responder = Responder(
            self._ids,
            counters.unmatched,
            self.splitter,
            RunObservers(loop, sampling, incidents),
            HaltPoll(loop, clock),
            incidents,
            LargeAnswers(loop, threads, self.splitter, limits.large_answer_bytes),
            clock,
        )
        self.splitter.fallback_timer.end = self.responder.end

    @property
    def shadow_senders(self) -> dict[tuple[str, str], ShadowSender]:
        """The senders of copies of answers, by model and version."""
        return self.responder.observers.shadow_senders

    @shadow_senders.setter
    def shadow_senders(self, shadow_senders: dict[tuple[str, str], ShadowSender]) -> None:
        self.responder.observers.shadow_senders = shadow_senders

    # -- in --------------------------------------------------------------------------------------

    def start(self, call: Call, body: bytes) -> None:
        """Begin a call whose body is complete. Never raises."""
        head = call.head
        call.request_id = head.request_id or self.new_id()
        try:
            if head.problem is not None:
                raise head.problem
            servable = None
            name = head.model or self._catalog.default_name()
            model = self._catalog.models.get(name)
            if model is not None and head.version is None:
                active_split = model.active_split
                servable = (
                    model.default
                    if active_split is None
                    else self.splitter.assign(call, active_split, body)
                )
            servable = servable or self._catalog.find(name, head.version)
        except Exception as error:  # noqa: BLE001  whatever happens, the caller gets an answer
            self.fail(call, error)
        else:
            self.resume(call, body, servable)

    def resume(self, call: Call, body: bytes, servable: Servable) -> None:
        """Let this version serve the call. Never raises."""
        call.servable = servable
        head = call.head
        try:
            if servable.scheduled.needs_admission_check:
                self._scheduler.check_room(servable.scheduled, call.arrival)
            size = len(body)
            large = size > self._limits.large_body_bytes
            if head.content_encoding is not None or (
                large
                and not (
                    size <= QUICK_BYTES
                    and head.zero_copy
                    and head.codec.is_quick(body, servable.wire, head.json_length)
                )
            ):
                self._decode_on_thread(call, servable, body)
                return
            self._enqueue(call, servable, self._read(call, servable.wire, body))
        except Exception as error:  # noqa: BLE001  whatever happens, the caller gets an answer
            self._refuse(call, error)

    def _read(self, call: Call, wire: WireSignature, body: bytes) -> InferRequest:
        """Decode a body; by its template if it has one."""
        message = None if self.templates is None else self.templates.read(call, body, wire)
        return message or call.head.codec.decode(body, wire, call.head.json_length)

    def new_id(self) -> bytes:
        """A request id for a caller that gave none."""
        return self._ids.new()

    def _decode_on_thread(self, call: Call, servable: Servable, body: bytes) -> None:
        """Decode a large body on a thread, because it takes milliseconds."""
        decoding = self._threads.submit(contained, self._unpack, call.head, servable, body)
        servable.begin_coding()
        decoding.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(self._decoded, call, servable, done)
        )

    def _unpack(self, head: RequestHead, servable: Servable, body: bytes) -> Decoded:
        if head.content_encoding is not None:
            body = decompress(body, head.content_encoding, self._limits.max_decompressed_bytes)
        message = head.codec.decode(body, servable.wire, head.json_length)
        validation = servable.validation
        return message, None if validation is None else validation.examine(message)

    def _decoded(self, call: Call, servable: Servable, done: Future[Decoded]) -> None:
        servable.end_coding()
        try:
            if self.splitter.forsake(call, servable):
                return
            if call.abandoned:
                raise ClientGone
            self._enqueue(call, servable, *contained(done.result))
        except Exception as error:  # noqa: BLE001  whatever happens, the caller gets an answer
            self._refuse(call, error)

    def _enqueue(
        self,
        call: Call,
        servable: Servable,
        message: InferRequest,
        examination: Examination | None = None,
    ) -> None:
        call.message = message
        if servable.validation is not None:
            (examination or servable.validation.examine(message)).settle()
        call.plain = rows_codec(call.head.codec, message, servable.wire)
        inputs, rows = message.inputs, message.rows
        if not servable.wire.batch_axis:
            rows = 1  # for the scheduler, which neither joins nor cuts such requests
        elif not rows:
            inputs, rows = one_row(inputs, servable.wire), 1
        call.request = request = InferenceRequest(
            inputs,
            rows,
            message.outputs,
            call.arrival,
            key=message.key,
            context=call,
        )
        timeout = call.head.timeout_seconds
        if message.timeout_microseconds is not None:
            own = message.timeout_microseconds / 1e6
            timeout = own if timeout is None else min(timeout, own)
        if timeout is not None:
            request.deadline = call.arrival + timeout
        servable.counters.enter()
        call.entered = True
        if call.head.background:
            self._scheduler.submit_background(servable.scheduled, request)
        else:
            self._scheduler.submit(servable.scheduled, request)

    def _refuse(self, call: Call, error: Exception) -> None:
        """Answer a call whose request could not be queued; the request leaves any queue."""
        self._withdraw(call)
        self.fail(call, error)

    def _withdraw(self, call: Call) -> bool:
        """Remove the call's request from its queue; returns whether it was there. Never raises."""
        try:
            return call.request is not None and self._scheduler.cancel(call.request)
        except Exception as error:  # noqa: BLE001  the call ends all the same
            self._incidents.note("withdrawing a request", error)
            return True

    # -- out -------------------------------------------------------------------------------------

    def sink(self, servable: Servable) -> Callable[[Batch], None]:
        """The function that the scheduler calls with this version's finished batches."""
        return partial(self.responder.finish, servable)

    def fail(self, call: Call, error: Exception) -> None:
        """Answer with an error, unless the client is gone, and count it."""
        self.responder.fail(call, error)

    def abandon(self, call: Call) -> None:
        """Withdraw the call of a client that went away. Never raises."""
        call.abandoned = True
        if self._withdraw(call):
            self.fail(call, ClientGone())
