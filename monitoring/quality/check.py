"""One declared field against the rows of an input: which values are wrong, and how. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .rules import DOMAIN, NULL, RANGE, STALE, TYPE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .rules import FieldRule

Array = NDArray[Any]
Mask = NDArray[np.bool_]


def columns_of(array: Array, rows: int) -> Array:
    """Rows x elements; the same memory where numpy can."""
    return array.reshape(rows, -1)


def wrong_values(rule: FieldRule, values: Array, now: float) -> Iterator[tuple[str, Mask]]:
    """Kinds of faults with the values that have them; a value has one kind at most.

    Args:
        rule: Rule of the field.
        values: Rows x elements of the field.
        now: Unix seconds, for ages.
    """
    if values.dtype.hasobject:
        missing = values == b""
        yield NULL, missing
        if rule.values:
            known = [str(one).encode() for one in rule.values]
            yield DOMAIN, ~np.isin(values, np.array(known, object)) & ~missing
        return
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
    yield NULL, missing
    left = ~missing
    if rule.integer and values.dtype.kind == "f":
        odd = left & ~(np.isfinite(values) & (values == np.floor(values)))
        yield TYPE, odd
        left &= ~odd
    if rule.minimum is not None or rule.maximum is not None:
        outside = left & ~inside(rule, values)
        yield RANGE, outside
        left &= ~outside
    if rule.values:
        yield DOMAIN, left & ~np.isin(values, np.array(rule.values, float))
    if rule.max_age_seconds:
        yield STALE, left & (now - values.astype(np.float64) > rule.max_age_seconds)


def inside(rule: FieldRule, values: Array) -> Mask:
    """A mask of the values in the declared range; NaN is not."""
    found = np.ones(values.shape, bool)
    if rule.minimum is not None:
        found &= values >= rule.minimum
    if rule.maximum is not None:
        found &= values <= rule.maximum
    return found
