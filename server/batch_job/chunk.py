"""Some consecutive rows of the input of a batch job, as columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array


class Position(NamedTuple):
    """A place in the input, between two rows.

    Attributes:
        row: Number of the next row, from 0.
        offset: Offset of that row in bytes; 0 in a Parquet file, which is found by number.
    """

    row: int
    offset: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of the input.

    Attributes:
        start: The place of the first row.
        end: The place behind the last row.
        cells: The values that the model takes, one sequence for each column or input. Lists hold
            what JSON has, ``None`` for a missing value; an array holds numbers, none of them
            missing, but NaN where the file has NaN.
        carried: The values that go to the output as they are, by column.
        problems: Why a row cannot be read, by its position in the chunk; its cells mean nothing.
    """

    start: Position
    end: Position
    cells: list[Sequence[Any] | Array]
    carried: dict[str, Any]
    problems: dict[int, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.end.row - self.start.row


@dataclass(frozen=True, slots=True)
class Answered:
    """A chunk and its answer.

    Attributes:
        chunk: The rows.
        good: Positions of the rows that were answered, ascending.
        outputs: One array for each output of the model; row ``i`` belongs to ``good[i]``.
        errors: Why each of the other rows was not, by position.
    """

    chunk: Chunk
    good: list[int]
    outputs: list[Array]
    errors: dict[int, str]
