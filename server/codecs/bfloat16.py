"""Tensors of BF16 for inputs of FP32: the upper half of each FP32 number, so nothing is lost.

Models of bfloat16 are served with inputs of FP32. A client may send such an input as raw BF16.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array

BF16: Final = "BF16"
#: What the elements are held by until they are FP32.
HALVES: Final = np.dtype("<u2")
_BITS: Final = 16


def widened(raw: bytes | memoryview, shape: list[int]) -> Array:
    """The FP32 tensor of the raw bytes of a BF16 tensor, little-endian and row-major."""
    halves = np.frombuffer(raw, HALVES).astype(np.uint32)
    array: Array = (halves << _BITS).view(np.float32).reshape(shape)
    return array
