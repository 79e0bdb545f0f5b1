"""One window of one version in one arm: counts and moments of each feature since it was opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .moments import Moments, from_list, moments_of, to_list

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .baseline import Reference
    from .bins import Counts
    from .options import DriftOptions


@dataclass(slots=True)
class Window:
    """What came in and went out for a while.

    Attributes:
        start: Unix seconds of its first row.
        end: Of its last row.
        rows: That were looked at.
        skipped: That came too fast to be looked at.
        counts: Rows per bin of each feature.
        moments: Of each feature that is a number.
    """

    start: float
    end: float = 0.0
    rows: int = 0
    skipped: int = 0
    counts: dict[str, Counts] = field(default_factory=dict)
    moments: dict[str, Moments] = field(default_factory=dict)

    def add(self, name: str, reference: Reference, values: NDArray[Any]) -> None:
        """Count values of a feature.

        Args:
            name: Of the feature.
            reference: Has its bins.
            values: float64 of one axis; of categories whatever they are.
        """
        if reference.categorical:
            counts = reference.bins.count(values.tolist())
        else:
            values = values.astype(np.float64, copy=False)
            counts = reference.bins.count(values)
            self.moments[name] = self.moments.get(name, Moments()).merged(moments_of(values))
        before = self.counts.get(name)
        self.counts[name] = counts if before is None else before + counts

    def merge(self, other: Window) -> None:
        """Add another window over the same bins."""
        self.start, self.end = min(self.start, other.start), max(self.end, other.end)
        self.rows += other.rows
        self.skipped += other.skipped
        for name, counts in other.counts.items():
            mine = self.counts.get(name)
            self.counts[name] = counts if mine is None else mine + counts
        for name, moments in other.moments.items():
            self.moments[name] = self.moments.get(name, Moments()).merged(moments)

    def complete(self, now: float, options: DriftOptions) -> bool:
        """Whether it is to be closed: long enough and with enough rows, or too old."""
        age = now - self.start
        if age >= options.max_window_seconds:
            return True
        return age >= options.window_seconds and self.rows >= options.window_rows

    def to_dict(self) -> dict[str, Any]:
        """For msgpack."""
        return {
            "start": self.start,
            "end": self.end,
            "rows": self.rows,
            "skipped": self.skipped,
            "counts": {name: one.astype("<i8").tobytes() for name, one in self.counts.items()},
            "moments": {name: to_list(one) for name, one in self.moments.items()},
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Window:
        """The reverse of `to_dict`."""
        return cls(
            content["start"],
            content["end"],
            content["rows"],
            content["skipped"],
            {name: np.frombuffer(one, "<i8") for name, one in content["counts"].items()},
            {name: from_list(one) for name, one in content["moments"].items()},
        )
