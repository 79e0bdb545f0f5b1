"""One window of one version in one arm: counts and moments of each feature since it was opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .bins import CategoryBins, texts_of
from .clients import ClientCounts
from .constraints import faults_of, outside
from .moments import Moments, from_list, moments_of, to_list
from .row_sample import RowSample
from .sketches import Sketches, library

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .baseline import Reference
    from .bins import Counts
    from .constraints import Faults
    from .options import DriftOptions


@dataclass(slots=True)
class Window:
    """The rows of one period: inputs and outputs.

    Attributes:
        start: Unix seconds of its first row.
        end: End of its last row.
        rows: Counted rows.
        skipped: Rows that came too fast to be counted.
        counts: Rows per bin of each feature.
        moments: Moments of each feature that is a number.
        outside: Numbers outside the limits of the baseline, of features that have any.
        sketches: Sketches of an open window; ``None`` without the library for them.
        figures: Figures of the sketches at the closing of the window.
        sample: Whole rows of an open window; after a restart those since then.
        clients: Counts by client of an open window; the same.
        notes: What they showed when it was closed, as `RowFindings.notes`.
    """

    start: float
    end: float = 0.0
    rows: int = 0
    skipped: int = 0
    counts: dict[str, Counts] = field(default_factory=dict)
    moments: dict[str, Moments] = field(default_factory=dict)
    outside: dict[str, int] = field(default_factory=dict)
    sketches: Sketches | None = None
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    sample: RowSample = field(default_factory=RowSample, repr=False)
    clients: ClientCounts = field(default_factory=ClientCounts, repr=False)
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def sketching(cls, start: float) -> Window:
        """A window with sketches, if the library for them is installed."""
        return cls(start, sketches=None if library() is None else Sketches())

    def add(
        self,
        name: str,
        reference: Reference,
        values: NDArray[Any],
        groups: NDArray[np.int64] | None = None,
    ) -> Faults:
        """Count values of a feature; gives the faults among them.

        Args:
            name: Name of the feature.
            reference: Has its bins.
            values: float64 of one axis; of categories whatever they are.
            groups: Group of clients of each row, as `clients` gave it; ``None`` if not known.
        """
        if groups is not None and len(groups) == len(values):
            places = reference.bins.places(values)
            self.clients.count(name, groups, places, reference.bins.size)
        beyond = 0
        if isinstance(reference.bins, CategoryBins):
            found = texts_of(values.tolist())
            counts = reference.bins.count_texts(found)
            if self.sketches is not None:
                new = reference.bins.new(found) if counts[-2] else ()
                self.sketches.add_categories(name, found, new)
        else:
            values = values.astype(np.float64, copy=False)
            counts = reference.bins.count(values)
            moments = moments_of(values)
            self.moments[name] = self.moments.get(name, Moments()).merged(moments)
            beyond = outside(reference, values, moments)
            if beyond:
                self.outside[name] = self.outside.get(name, 0) + beyond
            if self.sketches is not None:
                self.sketches.add_numbers(name, values)
        before = self.counts.get(name)
        self.counts[name] = counts if before is None else before + counts
        return faults_of(reference, counts, beyond)

    def forget_rows(self) -> None:
        """Forget single rows and clients; counts and notes stay."""
        self.sample, self.clients = RowSample(), ClientCounts()

    def faults(self, name: str, reference: Reference) -> Faults:
        """Rows of a feature that are not as in the baseline."""
        return faults_of(reference, self.counts[name], self.outside.get(name, 0))

    def merge(self, other: Window) -> None:
        """Add another window over the same bins; what sketches and rows say is not added."""
        self.sketches, self.figures, self.notes = None, {}, {}
        self.start, self.end = min(self.start, other.start), max(self.end, other.end)
        self.rows += other.rows
        self.skipped += other.skipped
        for name, counts in other.counts.items():
            mine = self.counts.get(name)
            self.counts[name] = counts if mine is None else mine + counts
        for name, moments in other.moments.items():
            self.moments[name] = self.moments.get(name, Moments()).merged(moments)
        for name, number in other.outside.items():
            self.outside[name] = self.outside.get(name, 0) + number

    def complete(self, now: float, options: DriftOptions) -> bool:
        """True if the window is to be closed: long enough and with enough rows, or too old."""
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
            "outside": self.outside,
            "sketches": None if self.sketches is None else self.sketches.to_dict(),
            "figures": self.figures,
            "notes": self.notes,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Window:
        """The reverse of `to_dict`."""
        sketches = content["sketches"]
        return cls(
            content["start"],
            content["end"],
            content["rows"],
            content["skipped"],
            {name: np.frombuffer(one, "<i8") for name, one in content["counts"].items()},
            {name: from_list(one) for name, one in content["moments"].items()},
            content["outside"],
            None if sketches is None or library() is None else Sketches.from_dict(sketches),
            content["figures"],
            notes=content.get("notes", {}),
        )
