"""Compares the answers of two versions, row by row. Pure; whole batches at a time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from .bins import BINS_PER_DECADE, LAST_BIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.server.rollout.tolerance import OutputTolerance, Tolerance

Array = NDArray[Any]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: Severities beyond every number: another class, then NaN where the primary has a number.
OTHER_CLASS: Final = 1e12
INVALID: Final = 1e15
#: Rows of probabilities add up to 1, give or take what float16 loses.
_SUM_SLACK: Final = 0.01


@dataclass(slots=True)
class OutputDifference:
    """The difference of one output.

    Attributes:
        compared: As ``class``, ``number``, ``label``, ``nothing``, or why it cannot be:
            ``missing``, ``extra``, ``shape``, ``type``.
        differs: Rows that count as different.
        severity: Severity of the difference of each row; 0 without a difference.
        invalid: Rows with NaN or infinity where the primary has a number.
        largest: Absolute difference of each row, the largest of its values.
        max_relative: The largest difference as a share of the primary's value.
    """

    compared: str
    differs: Flags
    severity: Floats
    invalid: Flags
    largest: Floats
    max_relative: float = 0.0

    @property
    def max_absolute(self) -> float:
        """The largest finite difference."""
        finite = self.largest[np.isfinite(self.largest)]
        return float(finite.max(initial=0.0))

    @property
    def histogram(self) -> dict[int, int]:
        """Rows by bin of their difference; see `penstock.server.shadow.bins`."""
        bins, counts = np.unique(_bins(self.largest), return_counts=True)
        return dict(zip(bins.tolist(), counts.tolist(), strict=True))


@dataclass(slots=True)
class Comparison:
    """The difference of a batch of answers.

    Attributes:
        differs: Rows in which any output differs.
        invalid: Rows in which any output is NaN or infinite where the primary has a number.
        severity: Severity of each row, that of its worst output.
        outputs: By name.
    """

    differs: Flags
    invalid: Flags
    severity: Floats
    outputs: dict[str, OutputDifference] = field(default_factory=dict)


def compare(
    primary: Mapping[str, Array],
    shadow: Mapping[str, Array],
    rows: int,
    tolerance: Tolerance,
    extra: Sequence[str] = (),
) -> Comparison:
    """Compare the outputs of one batch.

    Args:
        primary: Outputs by name; axis 0 is rows. Where it is not, the output is that of all rows.
        shadow: The same of the shadow; what the primary does not have is left out.
        rows: Rows of the batch.
        tolerance: Allowed difference.
        extra: Outputs that only the shadow's signature has.
    """
    outputs: dict[str, OutputDifference] = {}
    for name, expected in primary.items():
        allowed = tolerance.of(name)
        if allowed.compare == "ignore":
            outputs[name] = _same(rows, "nothing")
        elif name not in shadow:
            outputs[name] = _unlike(rows, "missing")
        else:
            outputs[name] = _output(expected, shadow[name], rows, allowed)
    for name in extra:
        if tolerance.of(name).compare != "ignore":
            outputs[name] = _unlike(rows, "extra")
    whole = Comparison(np.zeros(rows, np.bool_), np.zeros(rows, np.bool_), np.zeros(rows), outputs)
    for one in outputs.values():
        whole.differs |= one.differs
        whole.invalid |= one.invalid
        np.maximum(whole.severity, one.severity, out=whole.severity)
    return whole


def _bins(largest: Floats) -> NDArray[np.int64]:
    with np.errstate(divide="ignore"):
        numbers = np.floor(np.log10(largest) * BINS_PER_DECADE)
    bins: NDArray[np.int64] = np.clip(numbers, -LAST_BIN, LAST_BIN).astype(np.int64)
    return bins


def _same(rows: int, compared: str) -> OutputDifference:
    nowhere = np.zeros(rows, np.bool_)
    return OutputDifference(compared, nowhere, np.zeros(rows), nowhere, np.zeros(rows))


def _unlike(rows: int, compared: str) -> OutputDifference:
    severity = np.full(rows, OTHER_CLASS)
    nowhere = np.zeros(rows, np.bool_)
    everywhere = np.ones(rows, np.bool_)
    return OutputDifference(compared, everywhere, severity, nowhere, np.zeros(rows))


def _of_all(one: OutputDifference, rows: int) -> OutputDifference:
    """The difference of a whole output, as one of each of the rows."""
    return replace(
        one,
        differs=one.differs.repeat(rows),
        severity=one.severity.repeat(rows),
        invalid=one.invalid.repeat(rows),
        largest=one.largest.repeat(rows),
    )


def _output(
    expected: Array, actual: Array, rows: int, allowed: OutputTolerance
) -> OutputDifference:
    if expected.shape != actual.shape or not rows:
        return _unlike(rows, "shape")
    if rows > 1 and expected.shape[:1] != (rows,):  # it cannot be told apart by rows
        return _of_all(_output(expected, actual, 1, allowed), rows)
    width = expected.size // rows
    one, other = expected.reshape(rows, width), actual.reshape(rows, width)
    if one.dtype.hasobject or other.dtype.hasobject:
        if one.dtype != other.dtype:
            return _unlike(rows, "type")
        return _labels(rows, (one != other).any(axis=1), np.zeros(rows))
    exact = one.dtype.kind in "biu" and other.dtype.kind in "biu"
    with np.errstate(all="ignore"):  # infinities and NaN are what we look for
        wide = _Wide(one.astype(np.float64), other.astype(np.float64))
        if exact and allowed.compare != "number":
            return _labels(rows, (one != other).any(axis=1), wide.largest)
        as_class = allowed.compare == "class" or (
            allowed.compare == "auto" and expected.ndim == 2 and _probabilities(wide.expected)  # noqa: PLR2004  rows x classes
        )
        return _classes(wide, allowed) if as_class else _values(wide, allowed)


def _labels(rows: int, differs: Flags, largest: Floats) -> OutputDifference:
    nowhere = np.zeros(rows, np.bool_)
    severity = np.where(differs, OTHER_CLASS, 0.0)
    return OutputDifference("label", differs, severity, nowhere, largest)


class _Wide:
    """Two outputs as float64, and what both ways of comparing want to know of them.

    NaN equals NaN, and an infinity itself; a difference to any other value is infinite.
    """

    def __init__(self, expected: Floats, actual: Floats) -> None:
        self.expected = expected
        self.actual = actual
        nan = np.isnan(expected)
        self.same = (expected == actual) | (nan & np.isnan(actual))
        numbers, real = np.isfinite(expected), np.isfinite(actual)
        self.comparable = numbers & real
        self.invalid: Flags = np.any(numbers & ~real, axis=1)
        self.difference = np.where(self.comparable, np.abs(actual - expected), np.inf)
        self.difference[self.same] = 0.0
        self.largest = self.difference.max(axis=1, initial=0.0)

    @property
    def max_relative(self) -> float:
        base = np.abs(self.expected)
        counts = self.comparable & (base > 0.0)
        return float((self.difference[counts] / base[counts]).max(initial=0.0))

    def excess(self, allowed: OutputTolerance) -> Floats:
        """Each row's largest difference in parts of what is allowed of it."""
        absolute, relative = allowed.limits
        limit = np.where(self.comparable, absolute + relative * np.abs(self.expected), 0.0)
        ratio = np.where(self.difference <= limit, 0.0, self.difference / limit)
        excess: Floats = np.minimum(ratio.max(axis=1, initial=0.0), OTHER_CLASS)
        return excess


def _values(wide: _Wide, allowed: OutputTolerance) -> OutputDifference:
    excess = wide.excess(allowed)
    differs = excess > 0.0
    severity = np.where(wide.invalid, INVALID, excess)
    return OutputDifference(
        "number", differs, severity, wide.invalid, wide.largest, wide.max_relative
    )


def _classes(wide: _Wide, allowed: OutputTolerance) -> OutputDifference:
    """By the column with the largest value; by all values, too, if limits were given."""
    if not wide.expected.shape[1]:
        return _same(len(wide.expected), "class")
    # NaN wins every argmax; a row that has one is compared by where it has them.
    unlike = (~wide.comparable & ~wide.same).any(axis=1)
    other = wide.expected.argmax(axis=1) != wide.actual.argmax(axis=1)
    severity = np.where(other | unlike, OTHER_CLASS, 0.0)
    if allowed.given:
        np.maximum(severity, wide.excess(allowed), out=severity)
    severity[wide.invalid] = INVALID
    return OutputDifference(
        "class", severity > 0.0, severity, wide.invalid, wide.largest, wide.max_relative
    )


def _probabilities(values: Floats) -> bool:
    """Whether every row that is all numbers is a distribution over at least two classes."""
    if values.shape[1] < 2:  # noqa: PLR2004  one column tells no class
        return False
    rows = values[np.isfinite(values).all(axis=1)]
    if not len(rows):
        return False
    in_range = (rows >= 0.0).all() and (rows <= 1.0 + _SUM_SLACK).all()
    return bool(in_range and (np.abs(rows.sum(axis=1) - 1.0) <= _SUM_SLACK).all())
