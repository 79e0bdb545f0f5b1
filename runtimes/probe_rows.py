"""Made-up rows that find out whether rows influence each other: usual, odd and extreme ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .contract import VARIABLE
from .datatypes import NUMPY_OF

if TYPE_CHECKING:
    from .contract import Array, Signature, TensorSpec

#: Rows of plain numbers, which any model should take.
PLAIN_ROWS: Final = 8
_WORDS: Final = (b"1", b"0", b"a", b"yes", b"no", b"red", b"blue", b"female", b"male", b"2.5")
_TEXTS: Final = (
    b"one",
    b"a short text",
    b"The quick brown fox jumps over the lazy dog, and then it rests.",
    b"",
    b"-9999",
    b"nan",
    "größer".encode(),
    b"x" * 60,
)
_SENTINEL: Final = -9999
#: Elements of a row that one extreme value is put into.
_SPARSE: Final = 4


def plain_rows(signature: Signature, variable: int) -> list[list[Array | None]]:
    """Rows of plain numbers: between 0 and 1, around 0, and small whole ones."""
    return [_row(signature, variable, seed, _plain, None) for seed in range(PLAIN_ROWS)]


def odd_rows(signature: Signature, variable: int) -> list[list[Array | None]]:
    """Rows with numbers of many scales, sentinels, NaN, infinities and odd texts.

    Where there are several inputs, each comes once alone beside plain others, too.
    """
    kinds = range(max(len(_ODD_FLOATS), len(_ODD_INTEGERS), len(_TEXTS)))
    rows = [_row(signature, variable, 100 + kind, _odd, None, kind) for kind in kinds]
    required = [i for i, spec in enumerate(signature.inputs) if not spec.optional]
    if 1 < len(required) <= _SPARSE:
        rows += [
            _row(signature, variable, 200 + kind, _odd, only, kind)
            for only in required
            for kind in kinds
        ]
    return rows


def _row(
    signature: Signature, variable: int, seed: int, make: Any, only: int | None, kind: int = 0
) -> list[Array | None]:
    generator = np.random.default_rng(seed)
    row: list[Array | None] = []
    for i, spec in enumerate(signature.inputs):
        if spec.optional:
            row.append(None)
            continue
        shape = (1, *(variable if size == VARIABLE else size for size in spec.shape[1:]))
        one = make if only in {None, i} else _plain
        row.append(one(spec, shape, generator, kind if one is make else seed))
    return row


def _plain(
    spec: TensorSpec, shape: tuple[int, ...], generator: np.random.Generator, kind: int
) -> Array:
    dtype = NUMPY_OF[spec.datatype]
    if spec.datatype == "BYTES":
        return _texts(generator.choice(len(_WORDS), shape), _WORDS)
    if dtype.kind == "f":
        made = (generator.random, generator.standard_normal)[kind % 2](shape)
        return made.astype(dtype)
    return generator.integers(0, 2 if dtype.kind == "b" or kind % 2 else 3, shape).astype(dtype)


def _odd(
    spec: TensorSpec, shape: tuple[int, ...], generator: np.random.Generator, kind: int
) -> Array:
    dtype = NUMPY_OF[spec.datatype]
    if spec.datatype == "BYTES":
        return _texts(np.full(shape, kind % len(_TEXTS)), _TEXTS)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):  # of half precision: infinity is as good
            return _odd_floats(shape, generator, kind).astype(dtype)
    if dtype.kind == "b":
        return np.full(shape, kind % 2 == 0)
    values = _ODD_INTEGERS[kind % len(_ODD_INTEGERS)]
    bounds = np.iinfo(np.dtype(dtype).name)
    low, high = (min(max(value, bounds.min), bounds.max) for value in values)
    return generator.integers(low, high, shape, dtype=dtype, endpoint=True)


#: Factor, value for all or some elements, and whether only some have it.
_ODD_FLOATS: Final = (
    (1.0, _SENTINEL, True),
    (1.0, math.nan, True),
    (1e6, None, False),
    (-1e3, None, False),
    (1e-6, None, False),
    (1.0, _SENTINEL, False),
    (1.0, 1e30, True),
    (1.0, math.inf, True),
    (1.0, -math.inf, True),
    (1.0, math.nan, False),
    (1.0, 0.0, False),
    (100.0, 999.0, True),
    (1.0, 3.4e38, True),
    (10.0, 16777217.0, True),
)

#: Lowest and highest of random whole numbers.
_ODD_INTEGERS: Final = (
    (0, 9),
    (_SENTINEL, _SENTINEL),
    (0, 99),
    (1 << 31, 1 << 31),
    (1, 1),
    (0, 0),
    ((1 << 63) - 1, (1 << 63) - 1),
    (-1, -1),
    (-1000, 1000),
    (0, 29_999),
    (1 << 40, 1 << 40),
    (2, 2),
    (-(1 << 40), 1 << 40),
    (5, 20),
)


def _odd_floats(shape: tuple[int, ...], generator: np.random.Generator, kind: int) -> Array:
    factor, value, sparse = _ODD_FLOATS[kind % len(_ODD_FLOATS)]
    made = generator.standard_normal(shape) * factor
    if value is not None:
        cells = generator.random(shape) < 1 / _SPARSE if sparse else np.ones(shape, np.bool_)
        cells.reshape(-1)[:1] = True
        made[cells] = value
    return made


def _texts(places: Array, texts: tuple[bytes, ...]) -> Array:
    return np.array(texts, np.object_)[places]
