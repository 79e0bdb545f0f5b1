"""The snapshot of a rollout: everything that a decision reads, at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .counts import Counts, StepLabels
from .worst_units import UnitTable

if TYPE_CHECKING:
    from .segment_counts import Segments


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a decision rests on beside the rollout itself.

    Attributes:
        counts: Cumulative since the counters began. Read after `percent`, so that a share that is
            seen to be in force covers all that is counted later.
        epoch: Names the run of the counters; another one means that they began again at zero.
        ready: Whether every process that needs the candidate has it ready: all workers, or the
            shadow process.
        percent: The candidate's share that every worker had taken up; ``None`` while they differ.
        hard_failures: Reasons to abort that need no statistics: a failed load, warm-up or golden
            request, a crash of the runtime, out of memory.
        vetoes: Names of alarms from outside that forbid to go on; they abort as hard failures do.
        unreadable: The reason why `counts` could not be read and is ignored; empty if it was read.
        labels: Labels known by now, by step; other steps keep theirs.
        units: The units that fail most.
        segments: Cumulative counts of single segments, over the processes that live.
    """

    counts: Counts = field(default_factory=Counts)
    epoch: str = ""
    ready: bool = False
    percent: float | None = None
    hard_failures: tuple[str, ...] = ()
    vetoes: tuple[str, ...] = ()
    unreadable: str = ""
    labels: tuple[StepLabels, ...] = ()
    units: UnitTable = field(default_factory=UnitTable)
    segments: Segments = field(default_factory=dict)
