"""What is known of a tensor before any run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sizes import Shape, Size


class NotProven(Exception):
    """Nothing shows that rows stay apart. The message is the reason, for people."""


class RowsCoupled(NotProven):
    """An operator is known to let rows influence each other."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One value of the graph.

    With ``axis`` set, the tensor holds rows: its size along that axis is the number of rows in the
    run times a block size, and block ``i`` is a function of row ``i`` of the inputs and of
    constants alone. Without, it is the same in all runs, but for ``numbers`` that count rows.

    Attributes:
        shape: Its sizes; ``None`` if not even their number is known. Always known with ``axis``.
        axis: Position of the axis of its rows.
        numbers: The elements of a small tensor of integers in row-major order, ``None`` for one
            that is not known; as a whole ``None`` if nothing is known of them.
        pad: Value that fills shorter rows behind their own elements, where the last axis is as
            long as the longest row of a run. Such a tensor differs in a batch.
    """

    shape: Shape | None = None
    axis: int | None = None
    numbers: tuple[Size | None, ...] | None = None
    pad: bytes | None = None

    @property
    def counts_rows(self) -> bool:
        """Whether an element of it depends on the number of rows."""
        return self.numbers is not None and any(
            n is not None and n.counts_rows for n in self.numbers
        )

    @property
    def sizes(self) -> Shape:
        """Its shape.

        Raises:
            NotProven: It is not known.
        """
        if self.shape is None:
            raise NotProven("the shape of an operand is not known")
        return self.shape

    @property
    def rank(self) -> int:
        """The number of its dimensions; raises as `sizes`."""
        return len(self.sizes)


def integers(tensor: Tensor | None, what: str) -> list[int]:
    """The elements of a small constant.

    Raises:
        NotProven: They are not all known.
    """
    if tensor is None or tensor.numbers is None or tensor.axis is not None:
        raise NotProven(f"its {what} are not a constant of the graph")
    found = [None if one is None else one.number for one in tensor.numbers]
    if None in found:
        raise NotProven(f"its {what} are not a constant of the graph")
    return [one for one in found if one is not None]
