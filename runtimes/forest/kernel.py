"""The walk of rows through a forest, and what the libraries make of the sums, in machine code.

Each function is plain Python that numba compiles when it is called first. A sum is made as the
libraries make it: it begins with the base of its place, and the trees add to it in their order, in
the type of the forest. Nothing is reordered or fused: numba compiles strict IEEE 754 arithmetic,
and exponentials are those of the C library, as in the libraries.

This module is imported only where numba is installed, and only when a model is loaded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import numba
import numpy as np

from .forest import BLOCK_TREES

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.runtimes.contract import Array

P = ParamSpec("P")
R = TypeVar("R")

_ONE: Final = np.float32(1.0)
#: XGBoost adds it to a denominator, and cuts the exponent there.
_TINY: Final = np.float32(1e-16)
_MOST_EXPONENT: Final = np.float32(88.7)
#: The lower half of a code of a node, and how far the upper half is away.
_READS: Final = np.uint32(0xFFFF)
_WAY: Final = np.uint32(16)


def _machine_code(plain: Callable[P, R]) -> Callable[P, R]:
    """The function compiled; what an earlier process compiled is used again where it was kept."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        made: Callable[P, R] = numba.njit(cache=True, **options)(plain)
    except RuntimeError:  # there is no place where it could be kept
        made = numba.njit(**options)(plain)
    return made


@_machine_code
def step(node: Any, row: Array, code: Array, bound: Array) -> Any:
    """From a node to its child; from a leaf to itself."""
    told = code[node]
    reads = told & _READS
    return node + np.uint64(told >> _WAY) + np.uint64(row[reads] >= bound[node])


@_machine_code
def order_rows(rows: Array, most: Any, infinite: Any, zero: Any) -> Array:
    """The order keys of rows: one for each value, once more for each value, and one for leaves.

    Args:
        rows: See `walk`, as for the others.
        most: See there.
        infinite: See there.
        zero: See there.
    """
    columns = rows.shape[1]
    keys = np.empty((rows.shape[0], 2 * columns + 1), rows.dtype)
    for number in range(rows.shape[0]):
        for place in range(columns):  # without branches: several values at once
            bits = rows[number, place]
            size = bits & most
            key = bits ^ most if bits < 0 else bits
            key = key & 0 if size <= zero else key
            keys[number, place] = -most - 1 if size > infinite else key
            keys[number, columns + place] = most if size > infinite else key
        keys[number, 2 * columns] = -most - 1
    return keys


@_machine_code
def walk(
    rows: Array,
    most: Any,
    infinite: Any,
    zero: Any,
    ends: Array,
    roots: Array,
    depths: Array,
    code: Array,
    bound: Array,
    value: Array,
    sums: Array,
) -> None:
    """Add what the trees say of each row.

    The steps of a block of trees from one level to the next do not depend on each other, so a
    processor makes several at once, and there is no branch that it would have to guess.

    Args:
        rows: ``(rows, columns)``: the bits of floats, as int32 or int64.
        most: The largest number of that type; as a mask, all bits of a float without its sign.
        infinite: The bits of infinity: a value of more bits is NaN, and missing.
        zero: The bits of a small number: values up to so far from 0 are 0.
        ends: See `penstock.runtimes.forest.forest.Forest`, as for the next five.
        roots: See there.
        depths: See there.
        code: See there.
        bound: See there.
        value: See there.
        sums: ``(rows, groups)``; holds the base of each sum.
    """
    keys = order_rows(rows, most, infinite, zero)
    first = np.uint64(0)
    for group in range(len(ends)):
        for tree in range(first, ends[group], BLOCK_TREES):
            depth = depths[tree // BLOCK_TREES]
            for number in range(len(keys)):
                row = keys[number]
                a, b, c, d = roots[tree], roots[tree + 1], roots[tree + 2], roots[tree + 3]
                e, f, g, h = roots[tree + 4], roots[tree + 5], roots[tree + 6], roots[tree + 7]
                for _ in range(depth):
                    a = step(a, row, code, bound)
                    b = step(b, row, code, bound)
                    c = step(c, row, code, bound)
                    d = step(d, row, code, bound)
                    e = step(e, row, code, bound)
                    f = step(f, row, code, bound)
                    g = step(g, row, code, bound)
                    h = step(h, row, code, bound)
                total = sums[number, group]
                total = total + value[a] + value[b] + value[c] + value[d]
                sums[number, group] = total + value[e] + value[f] + value[g] + value[h]
        first = ends[group]


@_machine_code
def logistic32(sums: Array) -> None:
    """XGBoost's probability of a logistic objective, in place."""
    for number in range(sums.shape[0]):
        for place in range(sums.shape[1]):
            exponent = min(-sums[number, place], _MOST_EXPONENT)
            sums[number, place] = _ONE / (math.exp(exponent) + _ONE + _TINY)


@_machine_code
def exponential(sums: Array) -> None:
    """Answers of objectives with a logarithmic link, in the type of the sums, in place."""
    for number in range(sums.shape[0]):
        for place in range(sums.shape[1]):
            sums[number, place] = math.exp(sums[number, place])


@_machine_code
def logistic64(sums: Array) -> None:
    """LightGBM's probability of a logistic objective, in place."""
    for number in range(sums.shape[0]):
        for place in range(sums.shape[1]):
            sums[number, place] = 1.0 / (1.0 + math.exp(-sums[number, place]))


@_machine_code
def softmax(sums: Array) -> None:
    """Probabilities of several classes, in place; their total is of 64 bits, and then rounded."""
    for number in range(sums.shape[0]):
        most = sums[number, 0]
        for place in range(1, sums.shape[1]):
            most = max(most, sums[number, place])
        total = 0.0
        for place in range(sums.shape[1]):
            sums[number, place] = math.exp(sums[number, place] - most)
            total += sums[number, place]
        divisor = sums.dtype.type(total)
        for place in range(sums.shape[1]):
            sums[number, place] /= divisor
