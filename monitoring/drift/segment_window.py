"""The rows of one segment: counts over the bins of the version's baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.segments.segment_rows import segment_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from penstock.monitoring.samples.samples import BatchSample

    from .baseline import Reference
    from .bins import Counts
    from .features import Column

#: Features of a version that are watched by segment, outputs first.
MOST_FEATURES: Final = 32


@dataclass(slots=True)
class SegmentWindow:
    """Rows of one segment.

    Attributes:
        start: Unix seconds of its first row.
        end: Unix seconds of its last row.
        rows: Rows.
        counts: By feature, rows per bin.
    """

    start: float
    end: float
    rows: int = 0
    counts: dict[str, Counts] = field(default_factory=dict)

    def merge(self, other: SegmentWindow) -> None:
        """Add rows of the same segment over the same bins."""
        self.start, self.end = min(self.start, other.start), max(self.end, other.end)
        self.rows += other.rows
        for name, counts in other.counts.items():
            before = self.counts.get(name)
            self.counts[name] = counts if before is None else before + counts

    def to_dict(self) -> dict[str, Any]:
        """For msgpack."""
        counts = {name: one.astype("<i8").tobytes() for name, one in self.counts.items()}
        return {"start": self.start, "end": self.end, "rows": self.rows, "counts": counts}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SegmentWindow:
        """The reverse of `to_dict`."""
        counts = {name: np.frombuffer(one, "<i8") for name, one in content["counts"].items()}
        return cls(content["start"], content["end"], content["rows"], counts)


def windows_by_segment(
    samples: Sequence[BatchSample], features: Sequence[tuple[str, Reference, Column]]
) -> Iterator[tuple[str, str, SegmentWindow]]:
    """The rows of samples by segment: the field, the name of the segment, and its rows.

    Args:
        samples: Samples of one version.
        features: Features of all their rows, with their references.
    """
    rows = sum(sample.rows for sample in samples)
    start, end = samples[0].time, samples[-1].time
    watched = sorted(features, key=lambda one: not one[1].output)[:MOST_FEATURES]
    # Of an input that some rows do not have there are fewer values: then nobody knows whose.
    placed = [
        (name, reference.bins.size, reference.bins.places(values))
        for name, reference, values in watched
        if len(values) == rows
    ]
    for place, first in enumerate(samples[0].segments):
        others = [one.segments[place : place + 1] for one in samples]
        # Other fields may have been declared in between: their codes mean other values.
        if any(not one or one[0].field != first.field for one in others):
            continue
        codes = np.concatenate([one.codes for (one,) in others])
        size = int(codes.max(initial=-1)) + 1
        totals = np.bincount(codes, minlength=size)
        tables = {
            name: np.bincount(codes * bins + places, minlength=size * bins).reshape(size, bins)
            for name, bins, places in placed
        }
        for code in np.flatnonzero(totals).tolist():
            # A copy: a view would keep the tables of all segments.
            counts = {name: table[code].copy() for name, table in tables.items()}
            name = segment_name(first.field, first.names[code])
            yield first.field, name, SegmentWindow(start, end, int(totals[code]), counts)
