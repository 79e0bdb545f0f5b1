"""The path of one prediction, the same for both doors.

    start    match model and version, decode (on a thread if the body is large)
    _enqueue hand it to the scheduler, which batches and runs it
    finish   split, encode, answer, count, sample       (once per batch)
    fail     every error leaves here

Each step is one call; nothing calls back up. A call is answered exactly once, or abandoned.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from penstock.batching.request import InferenceRequest
from penstock.monitoring.layout import status_index
from penstock.server.errors import ApiError, ClientGone, InternalError

from .alike import Alike, calls_of
from .answers import api_error, encode_batch, error_answer
from .codecs.compression import decompress
from .codecs.negotiate import rows_codec
from .empty import one_row
from .halt_poll import HaltPoll
from .known_heads import KnownHeads
from .lanes import Lanes
from .preambles import Preambles
from .splits import Splits, lines_of
from .together import Together

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import Executor

    from penstock.batching.request import Batch
    from penstock.batching.scheduler import Scheduler
    from penstock.monitoring.metrics import CounterFile
    from penstock.server.registry.catalog import Catalog
    from penstock.server.registry.servable import Servable

    from .call import Call
    from .codecs.messages import InferRequest
    from .feed import Feed
    from .head import RequestHead
    from .limits import Limits
    from .sampling import Sampling
    from .sweeper import Sweeper

LOG = logging.getLogger("penstock.inference")

#: Slot of the counter of good answers.
OK: Final = status_index(200)


class InferencePath:
    """From the bytes of a prediction request to the bytes of its answer.

    Args:
        loop: Everything but decoding of large bodies happens here.
        catalog: What is served.
        scheduler: Runs it.
        counters: Counts it.
        sampling: Hands inputs and outputs to the monitor; ``None`` if there is none.
        threads: Decodes large bodies.
        limits: Of bodies and connections.
        sweeper: Enforces the time limits of connections.
        clock: Monotonic seconds, the scheduler's.
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
        sweeper: Sweeper,
        clock: Callable[[], float],
    ) -> None:
        self.limits = limits
        self.sweeper = sweeper
        self.clock = clock
        self.known_heads = KnownHeads()
        self._loop = loop
        self._catalog = catalog
        self._scheduler = scheduler
        self._unmatched = counters.unmatched
        self._sampling = sampling
        self._threads = threads
        self._ids = count(int.from_bytes(os.urandom(8), "big") << 32)
        self._halt_poll = HaltPoll(loop, clock)
        self._splits = Splits(loop, catalog, scheduler, self.resume, clock)
        self._together = Together(catalog, scheduler, self, self._splits)
        self.lanes = Lanes(loop, self._together)
        self.preambles = Preambles()
        self.mirrors: dict[tuple[str, str], Feed] = {}

    # -- in --------------------------------------------------------------------------------------

    def start(self, call: Call, body: bytes) -> None:
        """Begin a call whose body is complete. Never raises."""
        head = call.head
        call.request_id = head.request_id or self.new_id()
        try:
            if head.problem is not None:
                raise head.problem
            servable = None
            model = self._catalog.models.get(head.model)
            if model is not None and head.version is None:
                arms = model.arms
                servable = model.default if arms is None else self._splits.assign(call, arms, body)
            servable = servable or self._catalog.find(head.model, head.version)
        except Exception as error:  # noqa: BLE001  whatever happens, the caller gets an answer
            self.fail(call, error)
        else:
            self.resume(call, body, servable)

    def resume(self, call: Call, body: bytes, servable: Servable) -> None:
        """Let this version serve the call. Never raises."""
        call.servable = servable
        head = call.head
        try:
            if servable.queue.special:
                self._scheduler.check_room(servable.queue, call.arrival)
            large = len(body) > self.limits.large_body_bytes
            if head.content_encoding is not None or (large and not head.zero_copy):
                self._decode_on_thread(call, servable, body)
                return
            self._enqueue(call, servable, head.codec.decode(body, servable.wire, head.json_length))
        except Exception as error:  # noqa: BLE001  whatever happens, the caller gets an answer
            self.fail(call, error)

    def new_id(self) -> bytes:
        """A request id for a caller who gave none."""
        return b"%x" % next(self._ids)

    def _decode_on_thread(self, call: Call, servable: Servable, body: bytes) -> None:
        """Large JSON takes milliseconds; the loop has other connections to serve."""
        servable.begin_decoding()
        decoding = self._threads.submit(self._unpack, call.head, servable, body)
        decoding.add_done_callback(
            lambda done: self._loop.call_soon_threadsafe(
                self._decoded, call, servable, done.exception() or done.result()
            )
        )

    def _unpack(self, head: RequestHead, servable: Servable, body: bytes) -> InferRequest:
        if head.content_encoding is not None:
            body = decompress(body, head.content_encoding, self.limits.max_decompressed_bytes)
        return head.codec.decode(body, servable.wire, head.json_length)

    def _decoded(
        self, call: Call, servable: Servable, result: InferRequest | BaseException
    ) -> None:
        servable.end_decoding()
        if self._splits.forsake(call, servable):
            return
        try:
            if call.abandoned:
                raise ClientGone
            if isinstance(result, BaseException):
                raise result
            self._enqueue(call, servable, result)
        except Exception as error:  # noqa: BLE001  whatever happens, the caller gets an answer
            self.fail(call, error)

    def _enqueue(self, call: Call, servable: Servable, message: InferRequest) -> None:
        call.message = message
        if servable.gate is not None:
            servable.gate.check(message)
        call.plain = rows_codec(call.head.codec, message, servable.wire)
        call.request = request = InferenceRequest(
            message.inputs if message.rows else one_row(message.inputs, servable.wire),
            message.rows or 1,
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
        self._scheduler.submit(servable.queue, request)

    # -- out -------------------------------------------------------------------------------------

    def sink(self, servable: Servable) -> Callable[[Batch], None]:
        """What the scheduler calls with this version's finished batches."""
        return partial(self.finish, servable)

    def finish(self, servable: Servable, batch: Batch) -> None:  # noqa: C901  one list of steps
        """Count the batch, answer everybody in it, then sample it."""
        if batch.error is not None:
            self._fail_batch(servable, batch, batch.error)
            return
        calls, firsts = calls_of(batch)
        routed = servable.routed
        waiting, starts = calls, firsts
        invalid: set[Call] = set()
        if routed:
            waiting, starts, invalid = self._splits.sift(servable, calls, firsts, batch)
        answers = encode_batch(servable, waiting, starts, batch.outputs, waiting is calls)
        answered = []
        for call, answer in zip(waiting, answers, strict=True):
            if isinstance(answer, tuple) and not call.abandoned:
                answered.append((call, answer))
            else:
                self.fail(call, answer if isinstance(answer, ApiError) else ClientGone())
        # Counted before it is written: whoever has an answer is in the figures, even if this
        # process is killed right after.
        counters = servable.counters
        counters.observe_batch(batch.rows, int((batch.finished_at - batch.started_at) * 1e9))
        if not answered:
            return
        counters.leave(len(answered))
        arrivals = [call.arrival for call, _ in answered]
        now = self.clock()
        counters.observe_many(OK, arrivals, batch.formed_at, now)
        if routed:
            answered = self._splits.answer(servable, answered, invalid, now)
        for call, (headers, body) in answered:
            lines = b"%bx-request-id: %b\r\n" % (headers, call.request_id)
            call.door.respond(call, 200, lines, body)
        self._halt_poll.answered(arrivals[0], now)
        if self._sampling is not None:
            self._sampling.take(servable, calls, firsts, batch, answered, arrivals, now)
        if servable.tally is not None:
            servable.tally.tally(batch.inputs, batch.rows)
        if self.mirrors:
            self._copy(servable, calls, firsts, batch)
        if routed:
            self._splits.release(servable, answered)

    def _copy(self, servable: Servable, calls: list[Call], firsts: list[int], batch: Batch) -> None:
        """Offer inputs and outputs to the shadow, if it is to have them."""
        feed = self.mirrors.get((servable.name, servable.version))
        if feed is not None:
            feed.offer(calls, [*firsts, batch.rows], servable.wire.input_names, batch)

    def _fail_batch(self, servable: Servable, batch: Batch, error: Exception) -> None:
        for request in batch.requests:
            context = request.context
            if isinstance(context, Alike):
                self._together.singly(context, servable)
            elif not self._splits.forsake(context, servable):
                self.fail(context, error)

    def fail(self, call: Call, error: Exception) -> None:
        """Answer with an error, unless the client is gone, and count it."""
        known = api_error(error)
        if isinstance(known, InternalError):
            LOG.error("unexpected error in a prediction", exc_info=error)
        if call.entered and call.servable is not None:
            call.entered = False
            call.servable.counters.leave()
            if known.reason is not None:
                call.servable.counters.drop(known.reason)
        arm = b""
        if call.assignment is not None:
            told = self._splits.fail(call, error, known)
            if told is None:
                return  # stable has it now
            known, arm = told, lines_of(call.assignment)
        servable = call.servable
        counters = self._unmatched if servable is None else servable.counters
        latency = int((self.clock() - call.arrival) * 1e9)
        counters.observe_request(status_index(known.status), latency)
        if call.abandoned:
            return
        headers, body = error_answer(known)
        if servable is not None:
            headers = servable.headers + headers + arm
        request_id = call.request_id or call.head.request_id or self.new_id()
        lines = b"%bx-request-id: %b\r\n" % (headers, request_id)
        call.door.respond(call, known.status, lines, body)
        if servable is not None and self._sampling is not None:
            self._sampling.failed(servable, request_id, known, latency / 1e9, call.arm)

    def abandon(self, call: Call) -> None:
        """The client went away: what has not run will not."""
        call.abandoned = True
        if call.request is not None and self._scheduler.cancel(call.request):
            self.fail(call, ClientGone())
