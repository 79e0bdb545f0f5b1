"""Samples as bytes: one msgpack map per batch, tensors as raw little-endian data.

An object array of ``bytes`` travels as a list. Picked requests are cut out here, at flush.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgpack
import numpy as np

from .samples import BatchSample

if TYPE_CHECKING:
    from .samples import Array


def encode(sample: BatchSample) -> bytes:
    """Make the bytes of one batch; only its picked requests are in them."""
    sample = _cut(sample)
    packed = msgpack.packb(
        {
            "model": sample.model,
            "version": sample.version,
            "time": sample.time,
            "request_ids": list(sample.request_ids),
            "offsets": list(sample.offsets),
            "statuses": list(sample.statuses),
            "latencies": list(sample.latencies),
            "input_names": sample.input_names,
            "inputs": [_pack(array) for array in sample.inputs],
            "output_names": sample.output_names,
            "outputs": [_pack(array) for array in sample.outputs],
        }
    )
    return cast("bytes", packed)


def decode(frame: bytes) -> BatchSample:
    """The reverse of `encode`; arrays are read-only views of the frame.

    Raises:
        ValueError: The frame is not one that `encode` made.
    """
    try:
        content: dict[str, Any] = msgpack.unpackb(frame)
        outputs = [_unpack(packed) for packed in content["outputs"]]
        return BatchSample(
            model=content["model"],
            version=content["version"],
            time=content["time"],
            request_ids=content["request_ids"],
            offsets=content["offsets"],
            statuses=content["statuses"],
            latencies=content["latencies"],
            input_names=tuple(content["input_names"]),
            inputs=[_unpack(packed) for packed in content["inputs"]],
            output_names=tuple(content["output_names"]),
            outputs=[array for array in outputs if array is not None],
        )
    except (msgpack.UnpackException, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a sample frame: {error!r}") from error


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
