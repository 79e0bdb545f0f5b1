"""Inputs made up from a signature: for warm-up, examples, and probes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from .contract import VARIABLE
from .datatypes import NUMPY_OF

if TYPE_CHECKING:
    from .contract import Array, Signature, TensorSpec

#: Sizes tried for open dimensions other than axis 0, until the model accepts one: most take 1,
#: convolutions and pooling want a picture.
PROBE_SIZES: Final = (1, 32)

#: Larger probes than the smallest are left out beyond this: 32 to the number of open dimensions
#: grows fast.
MAX_PROBE_ELEMENTS: Final = 1 << 22


def synthetic_inputs(
    signature: Signature, rows: int, *, seed: int = 0, variable: int = 1
) -> list[Array | None]:
    """Plausible inputs of a model, the same for the same arguments.

    Floats are uniform in [0, 1): defined for logarithms, normal for pictures and probabilities.
    Integers and booleans alternate between 1 and 0 along every axis, so that embedding tables have
    them and neighbouring rows differ; strings likewise between ``b"1"`` and ``b"0"``, which are
    text as well as numbers.

    Args:
        signature: Signature of the model.
        rows: Size of axis 0 of every input; without effect if axis 0 is not rows.
        seed: Another seed gives other values.
        variable: Size of every other open dimension.

    Returns:
        One C-contiguous array per input in signature order; ``None`` for optional inputs, whose
        defaults say more than anything made up.
    """
    generator = np.random.default_rng(seed)
    return [
        None
        if spec.optional
        else _values(spec, _shape(spec, signature, rows, variable), generator, seed)
        for spec in signature.inputs
    ]


def made_up_elements(signature: Signature, rows: int, variable: int) -> int:
    """How many elements `synthetic_inputs` would make: open dimensions multiply."""
    shapes = (
        _shape(spec, signature, rows, variable) for spec in signature.inputs if not spec.optional
    )
    return sum(map(math.prod, shapes))


def _shape(spec: TensorSpec, signature: Signature, rows: int, variable: int) -> tuple[int, ...]:
    shape = tuple(variable if size == VARIABLE else size for size in spec.shape)
    return (rows, *shape[1:]) if signature.rows_axis else shape


def _values(
    spec: TensorSpec, shape: tuple[int, ...], generator: np.random.Generator, seed: int
) -> Array:
    dtype = NUMPY_OF[spec.datatype]
    if dtype.kind == "f":
        return generator.random(shape).astype(dtype)
    # A checkerboard: the parity of the sum of a cell's indices.
    bits = (np.indices(shape).sum(axis=0) + seed + 1) % 2
    if spec.datatype == "BYTES":
        return np.where(bits, np.array(b"1", np.object_), np.array(b"0", np.object_))
    return np.asarray(bits).astype(dtype)
