"""Handles requests without rows, which the protocol allows; their answers have no rows either.

Many models fail on empty tensors, and a batch cannot be counted in rows that are not there. Such a
request therefore runs with one made-up row, and its answer is cut down to none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

    from .signature import WireSignature


def one_row(inputs: Sequence[Array | None], wire: WireSignature) -> list[Array | None]:
    """The inputs with one row of zeros or empty strings in place of no rows.

    Args:
        inputs: One array per input of the signature, without rows where the input is batched.
        wire: The signature.
    """
    return [
        _row(array) if array is not None and spec.batched else array
        for array, spec in zip(inputs, wire.inputs.values(), strict=True)
    ]


def _row(array: Array) -> Array:
    return np.full((1, *array.shape[1:]), b"" if array.dtype.hasobject else 0, array.dtype)
