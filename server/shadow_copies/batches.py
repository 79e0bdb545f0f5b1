"""One copied batch as bytes: what a worker saw and answered, for the runner to compute again.

Large arrays are not copied to be sent: they become pieces of their own. Each array starts at a
multiple of 64 bytes, as runtimes like it.

    length of the header, 4 bytes; header, msgpack; for each array padding and its bytes
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import msgpack
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[Any]
Piece = bytes | bytearray | memoryview

_LENGTH: Final = struct.Struct(">I")
_ALIGNMENT: Final = 64
#: Copying less than this is cheaper than another piece.
_PIECE_BYTES: Final = 32 << 10


@dataclass(slots=True)
class CopiedBatch:
    """A batch that was answered.

    Attributes:
        request_ids: One per request.
        offsets: Rows of request ``i`` are ``offsets[i]`` up to ``offsets[i + 1]``.
        inputs: By name; ``None`` where left out.
        output_names: Of those that were wanted.
        outputs: One array per name.
        seconds: Seconds of the run.
    """

    request_ids: Sequence[bytes]
    offsets: Sequence[int]
    input_names: Sequence[str]
    inputs: Sequence[Array | None]
    output_names: Sequence[str]
    outputs: Sequence[Array]
    seconds: float

    @property
    def rows(self) -> int:
        """Of all requests."""
        return self.offsets[-1]

    @property
    def held_bytes(self) -> int:
        """Bytes that its arrays keep alive; of strings, an estimate from below."""
        return sum(0 if array is None else array.nbytes for array in (*self.inputs, *self.outputs))


class Writer:
    """Puts batches one behind the other, as pieces to be sent.

    Attributes:
        size: Bytes in all pieces.
    """

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._open = bytearray()
        self.size = 0

    def add(self, batch: CopiedBatch) -> None:
        """Append a batch; its large arrays must not change until the pieces are sent."""
        arrays = [_plain(array) for array in (*batch.inputs, *batch.outputs)]
        described = {
            "ids": list(batch.request_ids),
            "offsets": list(batch.offsets),
            "inputs": list(batch.input_names),
            "outputs": list(batch.output_names),
            "seconds": batch.seconds,
            "arrays": [_describe(array) for array in arrays],
        }
        header = cast("bytes", msgpack.packb(described))
        self._write(_LENGTH.pack(len(header)) + header)
        for array in arrays:
            if array is None or array.dtype.hasobject or not array.size:
                continue
            self._write(bytes(-self.size % _ALIGNMENT))
            small = array.nbytes < _PIECE_BYTES
            self._write(array.tobytes() if small else array.reshape(-1).view(np.uint8).data)

    def pieces(self) -> list[Piece]:
        """Everything that was added; the writer is empty afterwards."""
        pieces = [*self._pieces, self._open] if self._open else self._pieces
        self._pieces, self._open, self.size = [], bytearray(), 0
        return pieces

    def _write(self, data: bytes | memoryview) -> None:
        self.size += len(data)
        if len(data) < _PIECE_BYTES:
            self._open += data
            return
        if self._open:
            self._pieces.append(self._open)
            self._open = bytearray()
        self._pieces.append(data)


def decode(content: memoryview) -> list[CopiedBatch]:
    """The batches in an envelope's contents; their arrays are views of it.

    Raises:
        ValueError: It is not what `Writer` wrote.
    """
    batches = []
    position = 0
    while position < len(content):
        try:
            batch, position = _decode_one(content, position)
        except (KeyError, TypeError, struct.error, msgpack.UnpackException) as error:
            raise ValueError(f"not a copied batch: {error!r}") from error
        batches.append(batch)
    return batches


def _decode_one(content: memoryview, position: int) -> tuple[CopiedBatch, int]:
    [length] = _LENGTH.unpack_from(content, position)
    position += _LENGTH.size
    header = msgpack.unpackb(content[position : position + length])
    position += length
    arrays: list[Array | None] = []
    for described in header["arrays"]:
        if described is None or described["dtype"] == "O":
            arrays.append(None if described is None else _strings(described))
            continue
        dtype = np.dtype(described["dtype"])
        shape = described["shape"]
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if size:
            position += -position % _ALIGNMENT
        data = content[position : position + size]
        arrays.append(np.frombuffer(data, dtype).reshape(shape))
        position += size
    count = len(header["inputs"])
    return (
        CopiedBatch(
            header["ids"],
            header["offsets"],
            header["inputs"],
            arrays[:count],
            header["outputs"],
            [array for array in arrays[count:] if array is not None],
            header["seconds"],
        ),
        position,
    )


def _plain(array: Array | None) -> Array | None:
    if array is None or array.flags.c_contiguous:
        return array
    return np.ascontiguousarray(array)


def _describe(array: Array | None) -> dict[str, Any] | None:
    if array is None:
        return None
    if array.dtype.hasobject:
        return {"dtype": "O", "shape": array.shape, "data": array.ravel().tolist()}
    return {"dtype": array.dtype.str, "shape": array.shape}


def _strings(described: dict[str, Any]) -> Array:
    strings = np.empty(len(described["data"]), dtype=object)
    strings[:] = described["data"]
    return strings.reshape(described["shape"])
