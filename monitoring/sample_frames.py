"""Samples as bytes: a msgpack list of maps, tensors as raw little-endian data.

An object array of ``bytes`` travels as a list. Picked requests are cut out here, at flush.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgpack
import numpy as np

from .samples import BatchSample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .samples import Array


def encode(samples: Sequence[BatchSample]) -> bytes:
    """Make the bytes of a frame; only picked requests are in it."""
    return cast("bytes", msgpack.packb([_fields(_cut(one)) for one in samples]))


def decode(frame: bytes) -> list[BatchSample]:
    """The reverse of `encode`; arrays are read-only views of the frame.

    Raises:
        ValueError: The frame is not one that `encode` made.
    """
    try:
        return [_sample(content) for content in msgpack.unpackb(frame)]
    except (msgpack.UnpackException, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a sample frame: {error!r}") from error


def _fields(sample: BatchSample) -> dict[str, Any]:
    return {
        "model": sample.model,
        "version": sample.version,
        "time": sample.time,
        "times": list(sample.times or [sample.time] * len(sample.request_ids)),
        "request_ids": list(sample.request_ids),
        "offsets": list(sample.offsets),
        "statuses": list(sample.statuses),
        "latencies": list(sample.latencies),
        "input_names": sample.input_names,
        "inputs": [_pack(array) for array in sample.inputs],
        "output_names": sample.output_names,
        "outputs": [_pack(array) for array in sample.outputs],
        "arm": sample.arm,
        "error": sample.error,
        "fraction": sample.fraction,
        "digest": sample.digest,
    }


def _sample(content: dict[str, Any]) -> BatchSample:
    outputs = [_unpack(packed) for packed in content.pop("outputs")]
    inputs = [_unpack(packed) for packed in content.pop("inputs")]
    input_names = tuple(content.pop("input_names"))
    output_names = tuple(content.pop("output_names"))
    return BatchSample(
        **content,
        input_names=input_names,
        inputs=inputs,
        output_names=output_names,
        outputs=[array for array in outputs if array is not None],
    )


def _cut(sample: BatchSample) -> BatchSample:
    picked = sample.picked
    if picked is None:
        return sample
    offsets = sample.offsets
    spans = [np.arange(offsets[index], offsets[index + 1]) for index in picked]
    rows = np.concatenate(spans)
    total = offsets[-1]
    cut_offsets = [0]
    for span in spans:
        cut_offsets.append(cut_offsets[-1] + len(span))

    def take(array: Array | None) -> Array | None:
        # Without a batch axis the one request is the whole array.
        has_rows = array is not None and array.ndim > 0 and array.shape[0] == total
        return array[rows] if array is not None and has_rows else array

    return BatchSample(
        model=sample.model,
        version=sample.version,
        time=sample.time,
        request_ids=[sample.request_ids[index] for index in picked],
        offsets=cut_offsets,
        statuses=[sample.statuses[index] for index in picked],
        latencies=[sample.latencies[index] for index in picked],
        input_names=sample.input_names,
        inputs=[take(array) for array in sample.inputs],
        output_names=sample.output_names,
        outputs=[cut for array in sample.outputs if (cut := take(array)) is not None],
    )


def _pack(array: Array | None) -> Any:
    if array is None:
        return None
    if array.dtype.hasobject:
        return {"dtype": "O", "shape": array.shape, "data": array.ravel().tolist()}
    return {"dtype": array.dtype.str, "shape": array.shape, "data": array.tobytes()}


def _unpack(packed: dict[str, Any] | None) -> Array | None:
    if packed is None:
        return None
    if packed["dtype"] == "O":
        strings = np.empty(len(packed["data"]), dtype=object)
        strings[:] = packed["data"]
        return strings.reshape(packed["shape"])
    return np.frombuffer(packed["data"], packed["dtype"]).reshape(packed["shape"])
