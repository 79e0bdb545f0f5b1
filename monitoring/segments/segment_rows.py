"""The segments of the rows of a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SegmentRows:
    """The segment of each row by one field.

    Attributes:
        field: Name of the field.
        names: Names of the segments; only grows.
        codes: Place in `names`, one for each row.
    """

    field: str
    names: Sequence[str]
    codes: NDArray[np.int64]

    def only(self, rows: NDArray[Any]) -> SegmentRows:
        """Those of some of the rows."""
        return SegmentRows(self.field, self.names, self.codes[rows])


def segment_name(field: str, value: str) -> str:
    """The name of a segment among those of all fields: ``country=CH``."""
    return f"{field}={value}"
