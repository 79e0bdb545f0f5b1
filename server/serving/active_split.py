"""A split whose two versions are loaded, and the part that one request has in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from penstock.monitoring.metrics.layout import ARM_REQUESTS, LATENCY
from penstock.server.rollout.routing import CANARY, STABLE, Chooser
from penstock.server.rollout.segment_table import BLOCKS, SegmentTable
from penstock.server.rollout.slow_limit import SlowLimit
from penstock.server.rollout.unit_memory import FirstFailures, UnitMemory
from penstock.server.rollout.worst_units import WorstUnits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.server.errors import ApiError
    from penstock.server.rollout.traffic import Split

    from .servable import Servable


class SplitMemory:
    """What a process remembers of a rollout while its share grows.

    Attributes:
        canary: The candidate; loaded anew it is another one, and the memory begins anew.
        slow: From when on an answer is slow.
        canary_units: The units that fail most in the arm of the candidate.
        stable_units: The same of stable.
        first_arrival: Time of the candidate's first request here, monotonic seconds.
        segments: Counts of single segments; ``None`` if the rollout has none.
    """

    __slots__ = (
        "_terms",
        "_warm_at",
        "canary",
        "canary_units",
        "first_arrival",
        "segments",
        "slow",
        "stable_units",
    )

    def __init__(self, split: Split, stable: Servable, canary: Servable) -> None:
        self._terms = _terms_of(split)
        self.canary = canary
        counters = stable.counters
        self.slow = SlowLimit(
            split.slow_seconds,
            split.slow_factor,
            split.slo_seconds,
            lambda: counters.read(LATENCY.first, LATENCY.total),
        )
        self.canary_units = WorstUnits(canary.counters.units(), split.rollout)
        self.stable_units = WorstUnits(stable.counters.units(), split.rollout)
        self.segments = None
        if split.segments:
            blocks = canary.counters.segments(BLOCKS)
            self.segments = SegmentTable(blocks, split.rollout, split.segments)
        self.first_arrival: float | None = None
        self._warm_at = self._requests() + split.warm_up_requests

    def is_of(self, split: Split, canary: Servable) -> bool:
        """Whether it is of the same rollout, whose share may be another, and version."""
        return self._terms == _terms_of(split) and self.canary is canary

    def listed(self, arm: str) -> WorstUnits | None:
        """The units that fail most in an arm; those of stable only if nothing falls back to it."""
        if arm == CANARY:
            return self.canary_units
        return None if self._terms.fallback else self.stable_units

    def is_warming_up(self, arrival: float, seconds: float) -> bool:
        """Whether a request of the candidate that came then is in its warm-up allowance.

        Args:
            arrival: Monotonic seconds.
            seconds: The allowance in time.
        """
        first = self.first_arrival
        return self._requests() < self._warm_at or first is None or arrival < first + seconds

    def _requests(self) -> int:
        return self.canary.counters.read(ARM_REQUESTS, ARM_REQUESTS + 1)[0]


class Head(Protocol):
    """The head of a request."""

    def value(self, name: bytes) -> bytes:
        """The first value of a header; empty if there is none."""
        ...


class ActiveSplit:
    """A split between two loaded versions; replaced as a whole when either or the split changes.

    Attributes:
        split: Split of the target.
        stable: The default version.
        canary: The candidate.
        chooser: Chooses between them.
        sticky: Name of the header that decides, in lower case; empty for the request id.
        plain: Part of every request of arm stable that counts.
        memory: Memory that outlives a change of the share.
        first_failures: Tells which bad answers of a unit are evidence.
    """

    __slots__ = (
        "canary",
        "chooser",
        "first_failures",
        "memory",
        "plain",
        "split",
        "stable",
        "sticky",
    )

    def __init__(
        self,
        split: Split,
        stable: Servable,
        canary: Servable,
        before: ActiveSplit | None = None,
    ) -> None:
        self.split = split
        self.stable = stable
        self.canary = canary
        self.chooser = Chooser(split)
        self.sticky = split.sticky.lower().encode()
        self.plain = Assignment(self, STABLE)
        known = None if before is None else before.memory
        self.memory: SplitMemory = _memory_of(split, stable, canary, known)
        units = UnitMemory(canary.counters.unit_memory())
        self.first_failures = FirstFailures(
            units, split.rollout, split.percent, watching=split.watching
        )

    def is_of(self, split: Split, stable: Servable, canary: Servable) -> bool:
        """Whether it shares these requests between these loaded versions."""
        return self.split == split and self.stable is stable and self.canary is canary

    def unit_of(self, head: Head, request_id: bytes) -> bytes:
        """What the arm of a request is chosen by: the sticky header's value, else its id."""
        return (head.value(self.sticky) if self.sticky else b"") or request_id


def _terms_of(split: Split) -> Split:
    """What stays the same for the whole of a rollout."""
    return replace(split, percent=0.0, stable=0, watching=False)


def _memory_of(
    split: Split, stable: Servable, canary: Servable, before: SplitMemory | None
) -> SplitMemory:
    """The memory of a rollout; the one before if it is the same rollout of the same version."""
    if before is not None and before.is_of(split, canary):
        return before
    return SplitMemory(split, stable, canary)


class Assignment:
    """The arm that a request was given, and what became of it there.

    Attributes:
        active_split: The active split of the call.
        arm: ``stable`` or ``canary``.
        counted: Whether it is evidence; one that was forced into its arm is not.
        body: Body of the request, for another try on stable; empty in arm stable.
        error: Error of the canary, once stable is asked in its place.
        doubt: The counter of that, if it holds the inputs to be at fault: it counts if stable
            answers them.
        failure: The counter of that which counted already.
    """

    __slots__ = ("active_split", "arm", "body", "counted", "doubt", "error", "failure")

    def __init__(
        self, active_split: ActiveSplit, arm: str, body: bytes = b"", *, counted: bool = True
    ) -> None:
        self.active_split = active_split
        self.arm = arm
        self.counted = counted
        self.body = body
        self.error: ApiError | None = None
        self.doubt: int | None = None
        self.failure: int | None = None

    @property
    def tries_canary(self) -> bool:
        """Whether it is the canary's turn, and stable was not asked yet."""
        return self.error is None and self.arm == CANARY


def active_split_of(
    split: Split | None,
    default: Servable | None,
    versions: Mapping[str, Servable],
    before: ActiveSplit | None,
) -> ActiveSplit | None:
    """The split between loaded versions; ``None`` while there is none to be had.

    Args:
        split: Split of the target.
        default: Serves requests that name no version.
        versions: Loaded versions.
        before: The one in force, which is kept if it is the same.
    """
    if split is None or default is None:
        return None
    canary = versions.get(str(split.candidate))
    stable = versions.get(str(split.stable)) if split.stable else default
    if canary is None or stable is None or canary is stable:
        return None
    if before is not None and before.is_of(split, stable, canary):
        return before
    return ActiveSplit(split, stable, canary, before)
