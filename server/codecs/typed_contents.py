"""Tensors in the typed lists of the Open Inference Protocol for gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.server.errors import InvalidRequest

from .tensors import check_texts, objects

if TYPE_CHECKING:
    from penstock.runtimes.contract import Array

    from .signature import WireInput

#: Datatype -> the list that holds its elements; the others travel as raw bytes only.
CONTENTS: Final = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
#: Elements converted in one step; a thread lets others run between two steps.
PIECE: Final = 16_384


def from_contents(contents: Any, spec: WireInput, shape: list[int], size: int) -> Array:
    """The tensor in an ``InferTensorContents``.

    Args:
        contents: The message.
        spec: The input that it is for.
        shape: Dimensions, already checked against ``spec``.
        size: Their product.

    Raises:
        InvalidRequest: The elements are in another list, or their number is not what the shape
            needs, or one of them is out of the datatype's range.
        BodyTooLarge: There are too many texts.
    """
    name = CONTENTS.get(spec.datatype)
    filled = [field.name for field, _ in contents.ListFields()]
    if name is None:
        raise InvalidRequest(
            f"input '{spec.name}': {spec.datatype} has no typed contents; "
            "send the tensor in raw_input_contents"
        )
    if any(other != name for other in filled):
        raise InvalidRequest(
            f"input '{spec.name}': elements of {spec.datatype} are expected in {name}, "
            f"found {', '.join(filled)}"
        )
    elements = getattr(contents, name)
    if len(elements) != size:
        raise InvalidRequest(
            f"input '{spec.name}': shape {shape} needs {size} elements, {name} has {len(elements)}"
        )
    if spec.is_bytes:
        check_texts(spec, size)
        return objects(list(elements), shape)
    array: Array = np.empty(size, spec.dtype)
    bounds: np.iinfo[Any] | None = None
    if spec.dtype.kind in "iu":
        bounds = np.iinfo(spec.dtype.name)
    for first in range(0, size, PIECE):
        piece = elements[first : first + PIECE]
        if bounds is not None and not bounds.min <= min(piece) <= max(piece) <= bounds.max:
            _refuse(piece, first, bounds, spec)
        array[first : first + PIECE] = piece
    return array.reshape(shape)


def _refuse(piece: list[int], first: int, bounds: np.iinfo[Any], spec: WireInput) -> None:
    for index, value in enumerate(piece):
        if not bounds.min <= value <= bounds.max:
            raise InvalidRequest(
                f"input '{spec.name}': element {first + index} is {value}, outside the range of "
                f"{spec.datatype}"
            )


def fill_contents(contents: Any, datatype: str, array: Array) -> None:
    """Write a tensor into an ``InferTensorContents``.

    Args:
        contents: An empty message.
        datatype: One of `CONTENTS`.
        array: The tensor; texts may be ``str`` or ``bytes``.
    """
    elements: list[Any] = array.ravel().tolist()
    if datatype == "BYTES":
        elements = [one.encode() if isinstance(one, str) else one for one in elements]
    getattr(contents, CONTENTS[datatype]).extend(elements)
