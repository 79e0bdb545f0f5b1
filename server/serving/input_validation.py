"""Input validation of one loaded version: every request passes it between decoding and the queue.

If no rule rejects or imputes, nothing is checked before the run: whole batches are checked after
they were answered. A model that declares no rules has no such object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from penstock.monitoring.quality.field_check import InputCheck
from penstock.monitoring.quality.rules import IMPUTE, NULL, PASS, REJECT, STALE
from penstock.server.errors import QualityRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.monitoring.quality.check import Array, Mask
    from penstock.monitoring.quality.field_check import FieldCheck
    from penstock.monitoring.quality.field_counters import FieldCounters
    from penstock.monitoring.quality.rules import QualityOptions
    from penstock.server.codecs.messages import InferRequest


#: Counters of a field, the kind of a fault, the action taken, and the number of values.
Count = tuple["FieldCounters", str, str, int]


class Examination(NamedTuple):
    """The result of checking one request.

    Attributes:
        counts: The faults that are to be counted.
        refusal: Reason for which the request is refused; ``None`` if it is not.
    """

    counts: list[Count]
    refusal: QualityRejected | None = None

    def settle(self) -> None:
        """Count the faults, on the event loop.

        Raises:
            QualityRejected: The request is refused.
        """
        for counters, kind, policy, values in self.counts:
            counters.count(kind, policy, values)
        if self.refusal is not None:
            raise self.refusal


class Quality:
    """Counts faults, and rejects or replaces values before the queue if a rule says so.

    Args:
        checks: One per declared field.
        options: The declared rules.
        event_counters: Counters of the event time, if there is one.
        names: Names of the inputs.
        clock: Unix seconds.
    """

    def __init__(
        self,
        checks: Sequence[FieldCheck],
        options: QualityOptions,
        event_counters: FieldCounters | None,
        names: Sequence[str],
        clock: Callable[[], float],
    ) -> None:
        inputs = sorted({one.input for one in checks})
        self._inputs = [InputCheck([c for c in checks if c.input == one]) for one in inputs]
        self._options = options
        self._event_counters = event_counters
        self._names = names
        self._clock = clock
        self.event_time = options.event_time

    @property
    def before_queue(self) -> bool:
        """Whether each request must be checked before it runs."""
        policies = {one for rule in self._options.fields for one in (rule.policy, rule.nulls)}
        return bool(policies - {PASS}) or bool(self.event_time)

    def examine(self, message: InferRequest) -> Examination:
        """Check a request; arrays with replaced values are new arrays.

        Nothing is counted yet, so it can be called on any thread; see `Examination.settle`.
        """
        now = self._clock()
        counts: list[Count] = []
        if self._event_counters is not None:
            refusal = self._check_age(message.event_time, self._event_counters, now, counts)
            if refusal is not None:
                return Examination(counts, refusal)
        if not message.rows:
            return Examination(counts)
        found = self._faults(message.inputs, now)
        refused = [one for one in found if one[0].policy(one[1]) == REJECT]
        for check, kind, mask in refused or found:
            policy = check.policy(kind)
            if policy == IMPUTE:
                self._impute(message, check, mask)
            counts.append((check.counters, kind, policy, int(mask.sum())))
        return Examination(counts, self._refusal(message, *refused[0]) if refused else None)

    def passes(self, inputs: Sequence[Array | None]) -> bool:
        """Whether these rows have no fault at all."""
        return self._event_counters is None and not self._faults(inputs, self._clock())

    def tally(self, inputs: Sequence[Array | None]) -> None:
        """Count the faults of a batch that has run."""
        for check, kind, mask in self._faults(inputs, self._clock()):
            check.counters.count(kind, PASS, int(mask.sum()))

    def _faults(
        self, inputs: Sequence[Array | None], now: float
    ) -> list[tuple[FieldCheck, str, Mask]]:
        found: list[tuple[FieldCheck, str, Mask]] = []
        for one in self._inputs:
            array = inputs[one.input]
            if array is not None and array.size:
                found += one.faults(array, now)
        return found

    def _refusal(
        self, message: InferRequest, check: FieldCheck, kind: str, mask: Mask
    ) -> QualityRejected:
        """The error of the first refused value."""
        row, element = (int(place[0]) for place in np.nonzero(mask))
        array = message.inputs[check.input]
        assert array is not None
        value = check.part(array)[row, element]
        name = self._names[check.input]
        within = element if check.column is None else check.column
        shape = array.shape[1:] if check.by_rows else array.shape
        inner = [int(one) for one in np.unravel_index(within, shape)]
        place = [row, *inner] if check.by_rows else inner
        path = name + "".join(f"[{one}]" for one in place)
        label = "" if check.rule.field.startswith(name) else f" ({check.rule.field})"
        shown = "missing" if kind == NULL else _show(value)
        return QualityRejected(f"{path}{label} is {shown}, expected {check.rule.expected}")

    @staticmethod
    def _impute(message: InferRequest, check: FieldCheck, mask: Mask) -> None:
        array = message.inputs[check.input]
        assert array is not None
        constant: Any = check.rule.constant
        replaced = array.copy()
        part = check.part(replaced)
        part[mask] = str(constant).encode() if array.dtype.hasobject else constant
        message.inputs[check.input] = replaced

    def _check_age(
        self, given: Any, counters: FieldCounters, now: float, counts: list[Count]
    ) -> QualityRejected | None:
        options = self._options
        known = isinstance(given, int | float) and not isinstance(given, bool)
        if known and now - given <= options.max_age_seconds:
            return None
        counts.append((counters, STALE if known else NULL, options.stale, 1))
        if options.stale != REJECT:
            return None
        problem = f"is {now - given:.0f} seconds old" if known else "is missing"
        return QualityRejected(
            f"parameter '{options.event_time}' {problem}, expected a Unix time of the last "
            f"{options.max_age_seconds:g} seconds"
        )


def _show(value: Any) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else f"{value:g}"
    return repr(text[:64]) if isinstance(value, bytes) else text
