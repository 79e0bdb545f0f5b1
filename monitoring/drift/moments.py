"""Count, mean, spread and range of a feature, merged without loss. Pure."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of finite values.

    Attributes:
        number: Number of the values.
        mean: Mean of the values.
        squares: Sum of squared differences from the mean.
        least: The smallest.
        most: The largest.
    """

    number: int = 0
    mean: float = 0.0
    squares: float = 0.0
    least: float = math.inf
    most: float = -math.inf

    @property
    def deviation(self) -> float:
        """Standard deviation; 0 for fewer than two values."""
        return math.sqrt(self.squares / (self.number - 1)) if self.number > 1 else 0.0

    def merged(self, other: Moments) -> Moments:
        """Of the values of both (Chan, Golub and LeVeque 1983)."""
        if not other.number:
            return self
        if not self.number:
            return other
        number = self.number + other.number
        apart = other.mean - self.mean
        return Moments(
            number,
            self.mean + apart * other.number / number,
            self.squares + other.squares + apart * apart * self.number * other.number / number,
            min(self.least, other.least),
            max(self.most, other.most),
        )


def moments_of(values: NDArray[np.float64]) -> Moments:
    """Of an array; NaN and infinity are left out."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(values.sum())
        if not math.isfinite(total):
            values = values[np.isfinite(values)]
            total = float(values.sum())
        if not values.size:
            return Moments()
        mean = total / values.size
        squares = float(values.dot(values)) - total * mean
        if not math.isfinite(squares) or squares < 1e-6 * total * mean:
            away = values - mean  # the difference above cancelled: the slow way
            squares = float(away.dot(away))
    return Moments(
        int(values.size), mean, max(0.0, squares), float(values.min()), float(values.max())
    )


def to_list(moments: Moments) -> list[float]:
    """For JSON; the range of no values is left out."""
    return list(astuple(moments)) if moments.number else []


def from_list(values: Sequence[float]) -> Moments:
    """The reverse of `to_list`."""
    if not values:
        return Moments()
    number, mean, squares, least, most = values
    return Moments(int(number), mean, squares, least, most)
