"""Sizes of dimensions as products of symbols, so that two of them are equal for sure or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: The symbol for the number of rows in a run.
ROWS: Final = "rows"


@dataclass(frozen=True, slots=True)
class Size:
    """``factor`` times its symbols. A symbol is the same in all runs that may be compared.

    Attributes:
        factor: A whole number.
        symbols: In sorted order; one may occur several times.
    """

    factor: int = 1
    symbols: tuple[str, ...] = ()

    @property
    def counts_rows(self) -> bool:
        """Whether it depends on the number of rows."""
        return ROWS in self.symbols and self.factor != 0

    @property
    def rows_once(self) -> bool:
        """Whether it is the number of rows times something that is the same in all runs."""
        return self.symbols.count(ROWS) == 1 and self.factor > 0

    @property
    def number(self) -> int | None:
        """Its value, if it has no symbols."""
        return None if self.symbols and self.factor else self.factor

    def times(self, other: Size) -> Size:
        """The product."""
        factor = self.factor * other.factor
        return Size(factor, tuple(sorted(self.symbols + other.symbols)) if factor else ())

    def divided_by(self, other: Size) -> Size | None:
        """The quotient; ``None`` unless it comes out even for all values of the symbols."""
        if other.factor == 0 or self.factor % other.factor:
            return None
        left = list(self.symbols)
        for symbol in other.symbols:
            if symbol not in left:
                return None
            left.remove(symbol)
        return Size(self.factor // other.factor, tuple(left))


ONE: Final = Size()
Shape = tuple[Size, ...]


def product(sizes: Shape) -> Size:
    """The number of elements of a shape."""
    result = ONE
    for size in sizes:
        result = result.times(size)
    return result
