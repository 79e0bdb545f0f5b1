"""Counts what the requests of a split say about their arms.

Every bad answer counts. Of those, the ones that repeat an earlier bad answer of their unit count a
second time as repeated: they are no evidence of their own. What became of a request that stable was
asked to answer in the canary's place is counted for the arm and for its unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.metrics.layout import (
    ARM_BOTH_FAILED,
    ARM_ERRORS,
    ARM_FALLBACKS,
    ARM_INVALID,
    ARM_REPEATED_FAILURES,
    ARM_REPEATED_INVALID,
    ARM_REPEATED_SLOW,
    ARM_REQUESTS,
    ARM_RESCUED,
    ARM_SLOW,
    ARM_TIMEOUTS,
    ARM_WARM_UP_SLOW,
)
from penstock.server.rollout.routing import CANARY, surely_in_time
from penstock.server.rollout.worst_units import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.serving.active_split import ActiveSplit, Assignment
    from penstock.server.serving.catalog import Catalog
    from penstock.server.serving.servable import Servable

    from .call import Call

#: The counter of a bad answer -> its part of the evidence, and the counter of what repeats there.
_REPEATED: Final = {
    ARM_ERRORS: (b"failed", ARM_REPEATED_FAILURES),
    ARM_TIMEOUTS: (b"failed", ARM_REPEATED_FAILURES),
    ARM_INVALID: (b"invalid", ARM_REPEATED_INVALID),
    ARM_SLOW: (b"slow", ARM_REPEATED_SLOW),
}


class ArmCounter:
    """The counts of all splits of a process.

    Args:
        catalog: Served versions, and so the splits in force.

    Attributes:
        on_failure: Called after a failure of a canary was counted; being slow is none.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.on_failure: Callable[[], object] = int

    def surely_in_time(self, active_split: ActiveSplit, now: float) -> float:
        """Up to this latency an answer needs no closer look; -1 if each one does."""
        if not self._is_current(active_split):
            return -1.0
        return surely_in_time(active_split.split, active_split.memory.slow.at(now))

    def count(
        self, call: Call, assignment: Assignment, servable: Servable, kinds: list[int], now: float
    ) -> None:
        """Count a request and in which ways it was bad.

        Args:
            call: The request.
            assignment: Its part in the split.
            servable: Version that answered it, or failed.
            kinds: Counters of what was bad about it, slowness aside; changed here.
            now: Time of that, by the clock of its arrival.
        """
        active_split = assignment.active_split
        if not assignment.counted or not self._is_current(active_split):
            return
        counters, canary = servable.counters, assignment.arm == CANARY
        counters.add(ARM_REQUESTS)
        if self.is_slow(call, assignment, now):
            if canary and self._is_warming_up(call, active_split):
                counters.add(ARM_WARM_UP_SLOW)
            else:
                kinds.append(ARM_SLOW)
        unit = active_split.unit_of(call.head, call.request_id)
        failures = [kind for kind in kinds if kind != ARM_SLOW]
        first_failure = first_slow = False
        for kind in kinds:
            part, repeated = _REPEATED[kind]
            counters.add(kind)
            if not active_split.first_failures.is_first(unit, part, canary=canary):
                counters.add(repeated)
            elif kind == ARM_SLOW:
                first_slow = True
            else:
                first_failure = True
        self.count_segments(call, assignment, failed=first_failure, slow=first_slow)
        if canary and failures and not active_split.split.fallback:  # else the second try tells
            self.on_failure()
        table = active_split.memory.listed(assignment.arm)
        if table is not None and not failures:
            table.answered(unit)
        elif table is not None and not (canary and active_split.split.fallback):
            table.failed(unit, Outcome.UNTRIED, now, timeout=ARM_TIMEOUTS in failures)

    @staticmethod
    def count_segments(
        call: Call, assignment: Assignment, *, failed: bool = False, slow: bool = False
    ) -> None:
        """Count a request in its segments, if the rollout has any.

        Args:
            call: The request.
            assignment: Its part in the split.
            failed: Whether its arm failed at it, for the first time of its unit.
            slow: Whether the answer was slow, for the first time of its unit.
        """
        active_split, servable = assignment.active_split, call.servable
        table = active_split.memory.segments
        if table is None or servable is None or call.message is None:
            return
        canary = assignment.arm == CANARY
        for number, field in enumerate(active_split.split.segments):
            reader = servable.segments.get(field)
            if reader is not None:
                name = reader.name(call.message.inputs, call.head)
                table.count(number, name, canary=canary, failed=failed, slow=slow)

    def asks_stable(self, assignment: Assignment) -> None:
        """Stable is asked in the canary's place."""
        if assignment.counted and self._is_current(assignment.active_split):
            assignment.active_split.canary.counters.add(ARM_FALLBACKS)

    def second_try(self, call: Call, assignment: Assignment, now: float, *, answered: bool) -> None:
        """Stable was asked in the canary's place, and this is what came of it.

        Args:
            call: The request.
            assignment: Its part in the split.
            now: By the clock of its arrival.
            answered: Whether stable answered it, or would if it could read what the canary reads.
        """
        active_split, kind = assignment.active_split, assignment.failure
        if assignment.doubt is not None:
            if not answered:
                return  # both hold the inputs to be at fault
            kind = assignment.doubt
            self.count(call, assignment, active_split.canary, [kind], now)
        if kind is None or not assignment.counted or not self._is_current(active_split):
            return
        late = kind == ARM_TIMEOUTS
        if not late:
            active_split.canary.counters.add(ARM_RESCUED if answered else ARM_BOTH_FAILED)
        outcome = Outcome.RESCUED if answered else Outcome.BOTH_FAILED
        unit = active_split.unit_of(call.head, call.request_id)
        active_split.memory.canary_units.failed(unit, outcome, now, timeout=late)
        self.on_failure()

    @staticmethod
    def is_slow(call: Call, assignment: Assignment, now: float) -> bool:
        """Whether an answer now is slow."""
        limit = assignment.active_split.memory.slow.at(now)
        return limit > 0 and now - call.arrival > limit

    @staticmethod
    def _is_warming_up(call: Call, active_split: ActiveSplit) -> bool:
        return active_split.memory.is_warming_up(call.arrival, active_split.split.warm_up_seconds)

    def _is_current(self, active_split: ActiveSplit) -> bool:
        """Whether the split is still in force; what began under a former one is no evidence."""
        model = self._catalog.models.get(active_split.stable.name)
        return model is not None and model.active_split is active_split
