"""Divides the requests of an active split between its two versions, and counts each arm.

    assign   choose the arm                                    (per request)
    sift     choose the calls that are answered from a run     (per run)
    answer   mark and count the answers                        (per run)
    release  the answers are written                           (per run)
    fail     count a failure, and ask stable instead of the canary

A request counts in its arm if the version answered it or failed in a run. If a canary fails and
stable answers, the failure counts against the canary, even if the canary blames the inputs. Errors
of the client, refusals because of overload and requests of a former split do not count.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from penstock.monitoring.metrics.layout import (
    ARM_INVALID,
    ARM_REQUESTS,
    ARM_TIMEOUTS,
)
from penstock.server.errors import DeadlineExceeded, InferenceFailed
from penstock.server.rollout.routing import CANARY, given_up_at
from penstock.server.serving.active_split import ActiveSplit, Assignment

from .arm_counter import ArmCounter
from .arm_headers import lines_of
from .failure_kinds import SERVER_ERROR, failure_kind_of, is_blamed
from .fallback_timer import FallbackTimer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from penstock.batching.scheduler import Scheduler
    from penstock.server.codecs.negotiate import Body
    from penstock.server.errors import ApiError
    from penstock.server.serving.catalog import Catalog
    from penstock.server.serving.servable import Servable

    from .call import Call


class TrafficSplitter:
    """Divides requests between the versions of each active split, in one worker.

    Args:
        loop: The event loop that all methods run on.
        catalog: The served models.
        scheduler: Runs the versions.
        resume: Serves a call with its body by a given version.
        clock: Monotonic seconds, the scheduler's.

    Attributes:
        fallback_timer: Ends the wait for canaries that do not answer.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        catalog: Catalog,
        scheduler: Scheduler,
        resume: Callable[[Call, bytes, Servable], None],
        clock: Callable[[], float],
    ) -> None:
        self._scheduler = scheduler
        self._resume = resume
        self._clock = clock
        self._arm_counter = ArmCounter(catalog)
        self.fallback_timer = FallbackTimer(loop, self._due_at, self._give_up, clock)

    @property
    def on_failure(self) -> Callable[[], object]:
        """Called after a failure of a canary was counted; being slow is none."""
        return self._arm_counter.on_failure

    @on_failure.setter
    def on_failure(self, told: Callable[[], object]) -> None:
        self._arm_counter.on_failure = told

    def assign(self, call: Call, active_split: ActiveSplit, body: bytes) -> Servable:
        """Assign the call to an arm, by its unit or by its own wish; return the version."""
        forced = call.head.arm
        if forced is not None:
            canary = forced == CANARY
        else:
            canary = active_split.chooser.is_canary(
                active_split.unit_of(call.head, call.request_id)
            )
        if canary:
            call.assignment = Assignment(active_split, CANARY, body, counted=forced is None)
            servable = active_split.canary
            if active_split.memory.first_arrival is None:
                active_split.memory.first_arrival = call.arrival
            if active_split.split.fallback:
                self.fallback_timer.add(call)
        else:
            call.assignment = (
                active_split.plain
                if forced is None
                else Assignment(active_split, active_split.plain.arm, counted=False)
            )
            servable = active_split.stable
        call.servable = servable
        servable.routed += 1
        return servable

    def sift(
        self, servable: Servable, calls: list[Call], firsts: list[int], bad: set[int]
    ) -> tuple[list[Call], list[int], set[Call]]:
        """Choose the calls that are answered from a run.

        Any other call of the canary goes on with stable.

        Args:
            servable: The version that ran.
            calls: All calls of the run.
            firsts: The first row of each call.
            bad: Calls with NaN or infinity in an output; see `failure_kinds.unsound`.

        Returns:
            The chosen calls, the first row of each, and those of them that have invalid outputs.
        """
        invalid: set[Call] = set()
        if not bad and all([call.servable is servable for call in calls]):  # noqa: C419  half the cost
            return calls, firsts, invalid
        kept, starts = [], []
        for index, (call, first) in enumerate(zip(calls, firsts, strict=True)):
            if self.forsake(call, servable):
                continue
            assignment = call.assignment
            if index in bad and assignment is not None and not call.abandoned:
                if assignment.tries_canary and assignment.active_split.split.fallback:
                    error = InferenceFailed("the model answered with NaN or infinity")
                    servable.counters.leave()
                    call.entered = False
                    servable.routed -= 1
                    self._fall_back(call, error, ARM_INVALID)
                    continue
                invalid.add(call)
            kept.append(call)
            starts.append(first)
        return kept, starts, invalid

    def forsake(self, call: Call, servable: Servable) -> bool:
        """Whether the call has moved on to stable, so that this version's result comes too late."""
        if call.assignment is None or call.servable is servable:
            return False
        servable.routed -= 1
        return True

    def answer(
        self,
        servable: Servable,
        answered: Sequence[tuple[Call, tuple[bytes, Body]]],
        invalid: set[Call],
        now: float,
    ) -> list[tuple[Call, tuple[bytes, Body]]]:
        """Count answers, and add the header of their arm to each."""
        marked = []
        good = 0
        active_split, quick = None, 0.0
        for call, (headers, body) in answered:
            assignment = call.assignment
            if assignment is None:
                marked.append((call, (headers, body)))
                continue
            if assignment.active_split is not active_split:
                active_split = assignment.active_split
                quick = self._arm_counter.surely_in_time(active_split, now)
            if assignment.error is None:
                if assignment.arm == CANARY:
                    self.fallback_timer.discard(call)
                bounded = call.request is not None and call.request.deadline < math.inf
                if bounded or call in invalid or now - call.arrival > quick:
                    self._look_closer(call, assignment, servable, now, invalid=call in invalid)
                elif assignment.counted:
                    good += 1
                    self._arm_counter.count_segments(call, assignment)
                    table = assignment.active_split.memory.listed(assignment.arm)
                    if table:
                        unit = assignment.active_split.unit_of(call.head, call.request_id)
                        table.answered(unit)
            else:
                self._arm_counter.second_try(call, assignment, now, answered=call not in invalid)
            marked.append((call, (headers + lines_of(assignment), body)))
        servable.counters.add(ARM_REQUESTS, good)
        return marked

    def _look_closer(
        self, call: Call, assignment: Assignment, servable: Servable, now: float, *, invalid: bool
    ) -> None:
        """Count an answer that may be bad in some way."""
        kinds = [ARM_INVALID] if invalid else []
        if assignment.active_split.split.fallback and now >= _due_at(call, assignment):
            kinds.append(ARM_TIMEOUTS)
        self._arm_counter.count(call, assignment, servable, kinds, now)

    @staticmethod
    def release(servable: Servable, answered: Sequence[tuple[Call, object]]) -> None:
        """Detach the answered calls from this version."""
        servable.routed -= sum([call.assignment is not None for call, _ in answered])

    def fail(self, call: Call, error: Exception, known: ApiError) -> ApiError | None:
        """Handle an assigned call that its version did not answer.

        Args:
            call: The call, which is no longer in flight.
            error: The error.
            known: The error as a client would get it.

        Returns:
            The error for the client; ``None`` if stable is asked first.
        """
        assignment, servable = call.assignment, call.servable
        assert assignment is not None
        assert servable is not None
        servable.routed -= 1
        if assignment.error is not None:
            unread = call.message is None and known.status < SERVER_ERROR
            if unread and not call.abandoned:  # stable cannot decode it, so it cannot tell
                self._arm_counter.second_try(call, assignment, self._clock(), answered=True)
                known, assignment.error = assignment.error, None
                call.servable = assignment.active_split.canary
            elif not call.abandoned:
                self._arm_counter.second_try(call, assignment, self._clock(), answered=False)
            return known
        self.fallback_timer.discard(call)
        kind, doubt = failure_kind_of(error, known), None
        fallback = assignment.active_split.split.fallback
        if fallback and is_blamed(error):  # stable shows whether the inputs are at fault
            kind, doubt = None, kind
        tried = known.status >= SERVER_ERROR or doubt is not None
        if assignment.arm == CANARY and fallback and tried and not call.abandoned:
            assignment.doubt = doubt
            self._fall_back(call, known, kind)
            return None
        now = self._clock()
        if kind is not None or (
            call.abandoned and self._arm_counter.is_slow(call, assignment, now)
        ):
            self._arm_counter.count(call, assignment, servable, [] if kind is None else [kind], now)
        return known

    def _fall_back(self, call: Call, error: ApiError, kind: int | None) -> None:
        """Count the canary's failure, and ask stable; the canary's run has ended or is ignored."""
        assignment = call.assignment
        assert assignment is not None
        active_split = assignment.active_split
        self.fallback_timer.discard(call)
        if kind is not None:
            self._arm_counter.count(call, assignment, active_split.canary, [kind], self._clock())
        self._arm_counter.asks_stable(assignment)
        assignment.failure = kind
        assignment.error = error
        call.message = call.plain = call.request = None
        active_split.stable.routed += 1
        self._resume(call, assignment.body, active_split.stable)

    def _give_up(self, call: Call) -> None:
        """Move the call to stable, because the time of the canary is over."""
        if (assignment := call.assignment) is None or call.abandoned:
            return
        canary = assignment.active_split.canary
        if call.request is not None and self._scheduler.cancel(call.request):
            canary.routed -= 1
        if call.entered:
            canary.counters.leave()
            call.entered = False
        self._fall_back(call, DeadlineExceeded("the canary did not answer in time"), ARM_TIMEOUTS)

    @staticmethod
    def _due_at(call: Call) -> float:
        assert call.assignment is not None
        return _due_at(call, call.assignment)


def _due_at(call: Call, assignment: Assignment) -> float:
    deadline = math.inf if call.request is None else call.request.deadline
    return given_up_at(assignment.active_split.split, call.arrival, deadline)
