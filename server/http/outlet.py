"""The way out of the inference path: every answer and every error leaves here, and is counted.

    finish        answer a batch           split, encode, answer, count, sample  (once per batch)
    finish_alike  the same for a lane's run, all of whose requests are alike
    refuse        answer calls that are not let in, or dropped
    fail          answer one call with an error

A call is answered exactly once, or abandoned.
"""

from __future__ import annotations

import logging
from itertools import islice, repeat
from typing import TYPE_CHECKING, Final

from penstock.batching.errors import Overloaded
from penstock.monitoring.layout import status_index
from penstock.server.errors import ApiError, ClientGone, InternalError

from .alike import Alike, calls_of
from .answers import api_error, encode_alike, encode_batch, error_answer
from .call import Call
from .splits import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from penstock.batching.request import Batch
    from penstock.monitoring.metrics import ModelCounters
    from penstock.server.registry.servable import Servable

    from .codecs.messages import InferRequest
    from .codecs.negotiate import Body, Codec
    from .feed import Feed
    from .halt_poll import HaltPoll
    from .sampling import Sampling
    from .splits import Splits

LOG = logging.getLogger("penstock.inference")

#: Slot of the counter of good answers.
OK: Final = status_index(200)


class Outlet:
    """Answers calls, counts them, and passes on what was answered.

    Attributes:
        singly: Serves the calls of a lane's run that failed one by one.
        mirrors: Who wants copies, by model and version.

    Args:
        ids: Numbers of requests whose callers gave no id.
        unmatched: Counts what matched no model.
        splits: Shares requests between two versions.
        sampling: Hands inputs and outputs to the monitor; ``None`` if there is none.
        halt_poll: Is told of answers.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        ids: Iterator[int],
        unmatched: ModelCounters,
        splits: Splits,
        sampling: Sampling | None,
        halt_poll: HaltPoll,
        clock: Callable[[], float],
    ) -> None:
        self.singly: Callable[[Alike, Servable], None]
        self.mirrors: dict[tuple[str, str], Feed] = {}
        self._ids = ids
        self._unmatched = unmatched
        self._splits = splits
        self._sampling = sampling
        self._halt_poll = halt_poll
        self._clock = clock

    def finish(self, servable: Servable, batch: Batch) -> None:  # noqa: C901  one list of steps
        """Count the batch, answer everybody in it, then hand over what is sampled of it."""
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
        now = self._clock()
        counters.observe_many(OK, arrivals, batch.formed_at, now)
        sampling = self._sampling
        taken = sampling and sampling.take(servable, calls, firsts, batch, answered, arrivals, now)
        if routed:
            answered = self._splits.answer(servable, answered, invalid, now)
        for call, _ in answered:
            call.request = None  # it refers back: only a collection would free the body
        _send(200, [(call, call.request_id, *answer) for call, answer in answered])
        self._halt_poll.answered(arrivals[0], now)
        if sampling and taken:
            sampling.offer(servable, taken)
        if servable.tally is not None:
            servable.tally.tally(batch.inputs, batch.rows)
        if self.mirrors:
            self._copy(servable, calls, firsts, batch)
        if routed:
            self._splits.release(servable, answered)

    def finish_alike(
        self, servable: Servable, alike: Alike, message: InferRequest, codec: Codec, batch: Batch
    ) -> bool:
        """The same for the run of a lane's requests by a version without a split.

        Args:
            servable: What ran.
            alike: Whose requests these were; none of them is abandoned.
            message: What each of them says, apart from its numbers.
            codec: Answers them.
            batch: The run, which did not fail.

        Returns:
            Whether they were answered; nothing was done if they have to be one by one.
        """
        calls = alike.calls
        made = encode_alike(servable, alike.lane.head, message, codec, batch)
        if made is None:
            return False
        headers, bodies = made
        counters = servable.counters
        counters.observe_batch(batch.rows, int((batch.finished_at - batch.started_at) * 1e9))
        counters.leave(len(calls))
        arrivals = [call.arrival for call in calls]
        now = self._clock()
        counters.observe_many(OK, arrivals, batch.formed_at, now)
        ids = [b"%x" % number for number in islice(self._ids, len(calls))]
        sampling = self._sampling
        picked = None if sampling is None else sampling.count_rows(servable, ids)
        _send(200, zip(calls, ids, repeat(headers), bodies))
        self._halt_poll.answered(arrivals[0], now)
        if sampling:
            sampling.offer_rows(servable, picked, ids, arrivals, batch, now)
        if servable.tally is not None:
            servable.tally.tally(batch.inputs, batch.rows)
        if self.mirrors:
            for call, request_id in zip(calls, ids, strict=True):
                call.request_id = request_id
            self._copy(servable, calls, range(batch.rows), batch)
        return True

    def refuse(self, servable: Servable, calls: Sequence[Call], error: Overloaded) -> None:
        """Answer calls that were not let in, or dropped; none of them is in flight.

        Args:
            servable: What would have run; it has no split.
            calls: None of them is abandoned.
            error: Why not.
        """
        known = api_error(error)
        counters = servable.counters
        counters.drop(error.reason, len(calls))
        now = self._clock()
        arrivals = [call.arrival for call in calls]
        counters.observe_many(status_index(known.status), arrivals, None, now)
        lines, body = error_answer(known)
        headers = servable.headers + lines
        ids = [call.request_id or b"%x" % next(self._ids) for call in calls]
        if self._sampling is not None:
            self._sampling.failed(servable, ids, known, [now - arrival for arrival in arrivals])
        _send(known.status, zip(calls, ids, repeat(headers), repeat(body)))

    def _copy(
        self, servable: Servable, calls: list[Call], firsts: Sequence[int], batch: Batch
    ) -> None:
        """Offer inputs and outputs to the shadow, if it is to have them."""
        feed = self.mirrors.get((servable.name, servable.version))
        if feed is not None:
            feed.offer(calls, [*firsts, batch.rows], servable.wire.input_names, batch)

    def _fail_batch(self, servable: Servable, batch: Batch, error: Exception) -> None:
        contexts = [request.context for request in batch.requests]
        if isinstance(error, Overloaded) and all(map(_is_simple, contexts)):
            servable.counters.leave(len(contexts))
            for call in contexts:
                call.entered = False
                call.request = None  # as above
            self.refuse(servable, contexts, error)
            return
        for context in contexts:
            if isinstance(context, Alike):
                self.singly(context, servable)
            elif not self._splits.forsake(context, servable):
                self.fail(context, error)

    def fail(self, call: Call, error: Exception) -> None:
        """Answer with an error, unless the client is gone, and count it."""
        known = api_error(error)
        if isinstance(known, InternalError):
            LOG.error("unexpected error in a prediction", exc_info=error)
        if call.servable is not None:
            if call.entered:
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
        call.request = None
        servable = call.servable
        counters = self._unmatched if servable is None else servable.counters
        latency = int((self._clock() - call.arrival) * 1e9)
        counters.observe_request(status_index(known.status), latency)
        if call.abandoned:
            return
        headers, body = error_answer(known)
        if servable is not None:
            headers = servable.headers + headers + arm
        request_id = call.request_id or call.head.request_id or b"%x" % next(self._ids)
        if servable is not None and self._sampling is not None:
            self._sampling.failed(servable, [request_id], known, [latency / 1e9], call.arm)
        _send(known.status, [(call, request_id, headers, body)])


def _is_simple(call: Call | Alike) -> bool:
    """Whether it stands for itself, in no split, and still waits."""
    return type(call) is Call and call.assignment is None and call.entered and not call.abandoned


def _send(status: int, answers: Iterable[tuple[Call, bytes, bytes, Body]]) -> None:
    """Write answers: for each its call, the id of its request, header lines, and the body."""
    last: bytes | None = None
    opening = b""
    for call, request_id, headers, body in answers:
        if headers is not last:  # alike for most of a run
            last = headers
            opening = b"%b%bx-request-id: " % (call.door.preamble(status), headers)
        if type(body) is not bytes or not call.door.answer(
            b"%b%b\r\ncontent-length: %d\r\n\r\n%b" % (opening, request_id, len(body), body)
        ):
            lines = b"%bx-request-id: %b\r\n" % (headers, request_id)
            call.door.respond(call, status, lines, body)
