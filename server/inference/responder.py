"""Ends each call of the inference path: writes the answer or the error, and counts it.

    finish            answer a batch       split, encode, answer, count, sample  (once per batch)
    finish_coalesced  answer the run of a group, whose requests differ in numbers only
    refuse            answer calls that are not let in, or dropped
    fail              answer one call with an error
    end               a step failed: answer the calls that still wait

A call is answered exactly once, or abandoned, even if a step raises. No method raises.
"""

from __future__ import annotations

import logging
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from penstock.batching.errors import Overloaded
from penstock.monitoring.metrics.layout import FAILED_NANOSECONDS, status_index
from penstock.server.errors import ClientGone, InternalError

from .answers import encode_coalesced, encode_run
from .arm_headers import lines_of
from .call import Call, write_answers
from .coalesced_calls import CoalescedCalls, calls_of
from .error_answers import LAST_ANSWER, api_error, error_answer, takes_common_error
from .server_timing import with_timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from penstock.batching.request import Batch
    from penstock.monitoring.metrics.model_counters import ModelCounters
    from penstock.server.codecs.messages import InferRequest
    from penstock.server.codecs.negotiate import Body, Codec
    from penstock.server.errors.incidents import Incidents
    from penstock.server.serving.servable import Servable

    from .answers import EncodedRun
    from .halt_poll import HaltPoll
    from .large_answers import LargeAnswers
    from .request_ids import RequestIds
    from .run_observers import RunObservers
    from .traffic_splitter import TrafficSplitter

LOG = logging.getLogger("penstock.inference")

#: Slot of the counter of good answers.
OK: Final = status_index(200)


class Responder:
    """Answers calls, counts them, and gives the answered runs to the observers.

    Attributes:
        singly: Serves the calls of a group's run that failed one by one.
        learn: Gets the calls that were answered with 200.
        observers: Get the answered runs.
        timed: Calls in progress whose answers tell how long they waited and ran.

    Args:
        ids: Makes ids of requests whose callers gave none.
        unmatched: Counts requests that matched no model.
        splitter: Divides requests between two versions.
        observers: See the attribute.
        halt_poll: Gets the time of each answer.
        incidents: Gets errors that have no caller.
        large: Encodes answers that are too large for the loop.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        ids: RequestIds,
        unmatched: ModelCounters,
        splitter: TrafficSplitter,
        observers: RunObservers,
        halt_poll: HaltPoll,
        incidents: Incidents,
        large: LargeAnswers,
        clock: Callable[[], float],
    ) -> None:
        self.singly: Callable[[CoalescedCalls[Any], Servable], None]
        self.learn: Callable[[Iterable[tuple[Call, object]]], object] = bool
        self.observers = observers
        self.timed = 0
        self._ids = ids
        self._unmatched = unmatched
        self._splitter = splitter
        self._halt_poll = halt_poll
        self._incidents = incidents
        self._clock = clock
        self._large = large
        large.answer, large.fail, large.end = self._answer, self.fail, self.end

    def finish(self, servable: Servable, batch: Batch) -> None:
        """Count a batch, answer its calls, then give its samples to the observers. Never raises."""
        try:
            if batch.error is not None:
                self._fail_batch(servable, batch, batch.error)
            elif self._large.are_of(servable, batch):
                self._large.start(servable, batch)
            else:
                self._answer(servable, batch, encode_run(servable, batch, self._splitter))
        except Exception as error:  # noqa: BLE001  nobody is left without an answer
            calls, _ = calls_of(batch)
            self.end([call for call in calls if call.servable is servable], error)

    def end(self, calls: Iterable[Call], error: Exception) -> None:
        """Answer these calls with an error, if they still wait, because a step of theirs failed.

        Never raises. A call that has its answer is only counted as no longer in flight.
        """
        self._incidents.note("answering predictions", error)
        for call in calls:
            if call.entered or (not call.abandoned and call.writer.owes(call)):
                self.fail(call, error)

    def _answer(self, servable: Servable, batch: Batch, run: EncodedRun) -> None:
        calls, firsts, waiting, answers, invalid = run
        routed = servable.routed
        answered = []
        for call, answer in zip(waiting, answers, strict=True):
            if not call.entered or call.servable is not servable:
                continue  # the call has ended before, or another version has it now
            if isinstance(answer, tuple) and not call.abandoned:
                answered.append((call, answer))
            else:
                self.fail(call, ClientGone() if isinstance(answer, tuple) else answer)
        # Counted before it is written, so that a kill right after loses no answer from the figures.
        counters = servable.counters
        counters.observe_batch(batch.run_rows, int((batch.finished_at - batch.started_at) * 1e9))
        if not answered:
            return
        arrivals = [call.arrival for call, _ in answered]
        now = self._clock()
        sample = self.observers.before(servable, calls, firsts, batch, answered, arrivals, now)
        if routed:
            answered = self._splitter.answer(servable, answered, invalid, now)
        if self.timed:
            answered = with_timing(answered, batch, now)
        counters.leave(len(answered))
        for call, _ in answered:
            call.entered = False
            call.request = None  # it refers back: only a collection would free the body
        if calls[0].head.background:  # its latency is meant to be long
            counters.add(OK, len(answered))
        else:
            counters.observe_many(OK, arrivals, batch.formed_at, now)
        write_answers(200, [(call, call.request_id, *answer) for call, answer in answered])
        if routed:
            self._splitter.release(servable, answered)
        self._halt_poll.answered(arrivals[0], now)
        self.observers.after(servable, calls, firsts, batch, sample)
        self.observers.trace(servable, answered, batch, now)
        self.learn(answered)

    def finish_coalesced(
        self,
        servable: Servable,
        coalesced: CoalescedCalls[Any],
        message: InferRequest,
        codec: Codec,
        batch: Batch,
    ) -> bool:
        """Answer the run of a group's requests by a version without a split; as `finish`.

        Args:
            servable: The version that ran.
            coalesced: The calls; none of them is abandoned or counted as in flight.
            message: The common meaning of the requests, apart from their numbers.
            codec: The codec of the answers.
            batch: The run, which did not fail.

        Returns:
            Whether the calls were answered; if not, nothing was done.
        """
        if self._large.are_of(servable, batch):
            return False
        made = encode_coalesced(servable, coalesced.group.accept_encoding, message, codec, batch)
        if made is None:
            return False
        headers, bodies = made
        try:
            self._answer_coalesced(servable, coalesced.calls, headers, bodies, batch)
        except Exception as error:  # noqa: BLE001  as in `finish`
            self.end(coalesced.calls, error)
        return True

    def _answer_coalesced(
        self,
        servable: Servable,
        calls: list[Call],
        headers: bytes,
        bodies: Sequence[Body],
        batch: Batch,
    ) -> None:
        counters = servable.counters
        counters.observe_batch(batch.run_rows, int((batch.finished_at - batch.started_at) * 1e9))
        arrivals = [call.arrival for call in calls]
        now = self._clock()
        counters.observe_many(OK, arrivals, batch.formed_at, now)
        ids = self._ids.take(len(calls))
        picked = self.observers.before_coalesced(servable, ids)
        write_answers(200, zip(calls, ids, repeat(headers), bodies))
        self._halt_poll.answered(arrivals[0], now)
        self.observers.after_coalesced(servable, calls, ids, arrivals, batch, picked, now)
        self.observers.trace_coalesced(servable, calls, ids, batch, now)

    def refuse(self, servable: Servable, calls: Sequence[Call], error: Overloaded) -> None:
        """Answer calls that were not admitted, or dropped; none of them is in flight.

        Args:
            servable: The version that would have run; it has no split.
            calls: The calls; none of them is abandoned.
            error: The reason.
        """
        try:
            self._refuse(servable, calls, error)
        except Exception as problem:  # noqa: BLE001  as in `finish`
            self.end(calls, problem)

    def _refuse(self, servable: Servable, calls: Sequence[Call], error: Overloaded) -> None:
        known = api_error(error)
        counters = servable.counters
        counters.drop(error.reason, len(calls))
        now = self._clock()
        arrivals = [call.arrival for call in calls]
        counters.observe_many(status_index(known.status), arrivals, None, now)
        counters.add(FAILED_NANOSECONDS, int((now * len(arrivals) - sum(arrivals)) * 1e9))
        lines, body = error_answer(known)
        headers = servable.headers + lines
        ids = [call.request_id or self._ids.new() for call in calls]
        self.observers.failed(servable, ids, known, [now - arrival for arrival in arrivals])
        write_answers(known.status, zip(calls, ids, repeat(headers), repeat(body)))
        self.observers.trace_failures(servable, calls, ids, known)

    def _fail_batch(self, servable: Servable, batch: Batch, error: Exception) -> None:
        contexts = [request.context for request in batch.requests]
        if isinstance(error, Overloaded) and all(map(takes_common_error, contexts)):
            servable.counters.leave(len(contexts))
            for call in contexts:
                call.entered = False
                call.request = None  # as above
            self.refuse(servable, contexts, error)
            return
        for context in contexts:
            if isinstance(context, CoalescedCalls):
                self.singly(context, servable)
            elif not self._splitter.forsake(context, servable):
                self.fail(context, error)

    def fail(self, call: Call, error: Exception) -> None:
        """Answer with an error, unless the client is gone, and count it. Never raises."""
        try:
            self._fail(call, error)
        except Exception as problem:  # noqa: BLE001  the call ends all the same
            self._incidents.note("answering with an error", problem)
            self._end_plainly(call)

    def _fail(self, call: Call, error: Exception) -> None:
        known = api_error(error)
        if isinstance(known, InternalError):
            LOG.error("unexpected error in a prediction", exc_info=error)
        if call.servable is not None:
            if call.entered:
                call.servable.counters.leave()
                call.entered = False
            if known.reason is not None:
                call.servable.counters.drop(known.reason)
        arm = b""
        if call.assignment is not None:
            told = self._splitter.fail(call, error, known)
            if told is None:
                return  # the call waits for stable now
            known, arm = told, lines_of(call.assignment)
        call.request = None
        servable = call.servable
        counters = self._unmatched if servable is None else servable.counters
        latency = int((self._clock() - call.arrival) * 1e9)
        counters.observe_request(status_index(known.status), latency)
        counters.add(FAILED_NANOSECONDS, latency)
        if call.abandoned:
            return
        headers, body = error_answer(known, call.head.codec.name)
        request_id = call.request_id or call.head.request_id or self._ids.new()
        if servable is not None:
            headers = servable.headers + headers + arm
            self.observers.failed(servable, [request_id], known, [latency / 1e9], call.arm)
        write_answers(known.status, [(call, request_id, headers, body)])
        self.observers.trace_failures(servable, [call], [request_id], known)

    def _end_plainly(self, call: Call) -> None:
        """Answer with a prepared error; used when encoding an error has itself failed."""
        call.request = None
        if call.entered and call.servable is not None:
            call.entered = False
            self.observers.aside(call.servable.counters.leave)
        if not call.abandoned and call.writer.owes(call):
            call.writer.respond(call, *LAST_ANSWER)
