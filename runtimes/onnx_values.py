"""Values that onnxruntime and the contract hold differently: strings, and ZipMap's maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .contract import ModelExecutionError, UnsuitableInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .contract import Array, TensorSpec


def session_feed(specs: Sequence[TensorSpec], inputs: Sequence[Array | None]) -> dict[str, Array]:
    """What ``InferenceSession.run`` takes: arrays by name, without those left out.

    Raises:
        UnsuitableInput: A string is not UTF-8.
    """
    return {
        spec.name: decode_strings(spec.name, array) if spec.datatype == "BYTES" else array
        for spec, array in zip(specs, inputs, strict=True)
        if array is not None
    }


def decode_strings(name: str, values: Array) -> Array:
    """Object array of ``bytes`` -> object array of ``str``, the same shape.

    onnxruntime takes ``str`` only; of ``bytes`` it would silently make their ``repr``.

    Raises:
        UnsuitableInput: An element is not UTF-8.
        ModelExecutionError: An element is not ``bytes``.
    """
    try:
        texts = list(map(bytes.decode, values.ravel().tolist()))
    except UnicodeDecodeError as error:
        raise UnsuitableInput(
            f"input {name!r} must be UTF-8, as ONNX strings are: {error.object[:40]!r}"
        ) from error
    except TypeError as error:
        raise ModelExecutionError(f"input {name!r} must hold bytes: {error}") from error
    return _objects(texts, values.shape)


def encode_strings(values: Array) -> Array:
    """Object array of ``str`` -> object array of ``bytes`` (UTF-8), the same shape."""
    return _objects(list(map(str.encode, values.ravel().tolist())), values.shape)


def zipmap_matrix(name: str, maps: Sequence[Mapping[int | str, float]], classes: int) -> Array:
    """One map for each row -> float32 array ``(rows, classes)``, columns in key order.

    onnxruntime keeps the maps sorted: integers by value, strings by code point.

    Args:
        name: Name of the output, for errors.
        maps: onnxruntime's dictionaries, class label to score.
        classes: Number of columns of an empty batch, which has no row to tell.

    Raises:
        ModelExecutionError: The rows have different numbers of classes.
    """
    if not maps:
        return np.empty((0, classes), np.float32)
    try:
        return np.array([list(row.values()) for row in maps], np.float32)
    except ValueError as error:
        raise ModelExecutionError(
            f"output {name!r} has rows with different numbers of classes"
        ) from error


def _objects(elements: Sequence[object], shape: tuple[int, ...]) -> Array:
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return array.reshape(shape)
