"""Inference requests and responses as msgpack, with tensors as raw bytes.

The layout is that of the JSON body. ``data`` of an input may be a ``bin`` of the tensor's bytes
(little-endian, row-major) or a list as in JSON; BYTES are lists of ``bin`` or ``str``. The schema
with examples is in ``docs/protocols.md``.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from penstock.server.errors import InvalidRequest

from .json import MANY_TEXTS, in_response_order
from .large_msgpack import LARGE_BYTES, LargeMsgpack, PackedList
from .msgpack_values import holds_few_values, unpack_small
from .packing import UNREADABLE, pack, unpack, unpacker
from .parameters import input_parameters
from .raw import MIN_VIEW_BYTES, from_raw, to_raw
from .request import build
from .signature import MAX_REMEMBERED
from .tensors import from_list, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .packing import Unpacker
    from .signature import WireInput, WireOutput, WireSignature

#: The unpacker copies raw tensors of bodies up to this size; larger ones are used where they are.
COPIED_BYTES: Final = 1024 * 1024

_RAW: Final = (bytes, memoryview)
_SHORT_LISTS: Final = [bytes([0x90 | length]) for length in range(16)]


def decode(body: bytes | bytearray | memoryview, wire: WireSignature) -> InferRequest:
    """Read an inference request.

    Raises:
        InvalidRequest: It is not msgpack, or not a request that the model takes.
    """
    large = None
    try:
        size = len(body)
        if size <= LARGE_BYTES:
            document = unpack_small(body)
        elif size <= COPIED_BYTES and holds_few_values(body):
            document = unpack(body)
        else:
            large = LargeMsgpack(body)
            document = large.document
    except UNREADABLE as error:
        reason = str(error) or type(error).__name__
        raise InvalidRequest(f"the body is not valid msgpack: {reason}") from None
    return build(document, wire, _read if large is None else partial(_read_large, large))


def _read_large(
    large: LargeMsgpack, entry: dict[str, Any], spec: WireInput, shape: list[int], size: int
) -> Array:
    data = entry.get("data")
    if type(data) is PackedList:
        return large.read(data, spec, shape, size)
    return _read(entry, spec, shape, size)


def locate(body: bytes) -> list[tuple[int, int]]:
    """Where the ``data`` of a request's only input begins and ends, if it is a ``bin``.

    The unpacker walks over the body, and says how far it is before and behind each value. Nothing
    is searched for. A map with a key that is no string, or with a key twice, is left alone.

    Args:
        body: A body that `decode` has read.

    Returns:
        One span, or none for a body of another kind.
    """
    walker = unpacker(body)
    span = None
    try:
        for key in _keys(walker):
            if key != "inputs":
                walker.unpack()
            elif walker.read_array_header() != 1:
                return []
            else:
                span = _locate_data(walker)
    except UNREADABLE:
        return []
    return [span] if span is not None and walker.tell() == len(body) else []


def _locate_data(walker: Unpacker) -> tuple[int, int] | None:
    span = None
    for key in _keys(walker):
        value = walker.unpack()
        if key == "data" and type(value) is bytes:
            end = walker.tell()
            span = end - len(value), end
    return span


def _keys(walker: Unpacker) -> Iterator[str]:
    """The keys of the map that begins here; its user has to walk over their values."""
    seen: set[str] = set()
    for _ in range(walker.read_map_header()):
        key = walker.unpack()
        if type(key) is not str or key in seen:
            raise ValueError("not a map of different strings")
        seen.add(key)
        yield key


def _read(entry: dict[str, Any], spec: WireInput, shape: list[int], size: int) -> Array:
    data = entry.get("data")
    if isinstance(data, _RAW) and not spec.is_bytes:
        return from_raw(data, spec, shape, size)
    if type(data) is memoryview:
        data = bytes(data)
    if type(data) is not list:
        if shape or data is None or type(data) is dict:
            input_parameters(entry, f"input '{spec.name}'")
            wanted = "a list of bin" if spec.is_bytes else "bin, or a list of numbers"
            problem = "has no 'data'" if data is None else f"has 'data' that is {show(data)}"
            raise InvalidRequest(f"input '{spec.name}' {problem}; expected {wanted}")
        data = [data]  # a scalar nested zero deep
    return from_list(data, spec, shape, size)


def encode(
    wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
) -> bytes | list[bytes | memoryview]:
    """Write a response; every tensor but BYTES is a ``bin`` of raw bytes.

    Args:
        wire: The signature of the model that answered.
        request: Request that is answered.
        outputs: One array per name in ``request.outputs``, holding this request's rows only.

    Returns:
        The body, in pieces that are views of ``outputs`` if these are large.
    """
    if request.id is None:
        parts: list[bytes | memoryview] = [b"\x83", wire.packed_head]
    else:
        parts = [b"\x84\xa2id", pack(request.id), wire.packed_head]
    parts.append(_list_header(len(outputs)))
    large = False
    for output, array in in_response_order(wire, request, outputs):
        shape = array.shape
        parts.append(output.packed_heads.get(shape) or _head(output, array))
        if output.is_bytes:
            parts.append(_packed_texts(array))
        elif array.nbytes < MIN_VIEW_BYTES:
            parts.append(array.tobytes())
        else:
            parts.append(to_raw(array))
            large = True
    return parts if large else b"".join(parts)


def encode_rows(
    wire: WireSignature, requests: Sequence[InferRequest], outputs: Sequence[Array]
) -> list[bytes]:
    """Write the responses of a whole batch of requests of one row each.

    Args:
        wire: The signature of the model that answered.
        requests: One per row, in that order; each `InferRequest.plain`, all with equal ``outputs``.
        outputs: One array per wanted output, with ``len(requests)`` rows.

    Returns:
        The bytes of `encode` for each request.
    """
    if not requests:
        return []
    wanted = [wire.outputs[name] for name in requests[0].outputs]
    template = b"%b" + wire.packed_head.replace(b"%", b"%%") + _list_header(len(wanted))
    columns = []
    for output, array in zip(wanted, outputs, strict=True):
        head = output.packed_heads.get((1, *array.shape[1:])) or _head(output, array[:1])
        template += head.replace(b"%", b"%%") + b"%b"
        columns.append(_rows_of(output, array))
    openings = [b"\x83" if r.id is None else b"\x84\xa2id" + pack(r.id) for r in requests]
    return list(map(template.__mod__, zip(openings, *columns, strict=True)))


def _rows_of(output: WireOutput, array: Array) -> list[bytes]:
    rows = len(array)
    if output.is_bytes:
        return [pack(array[row : row + 1].ravel().tolist()) for row in range(rows)]
    raw = array.tobytes()
    width = array.nbytes // rows
    return [raw[row * width : (row + 1) * width] for row in range(rows)]


def _packed_texts(array: Array) -> bytes:
    """The list of all elements, packed in parts: a call into C holds the interpreter lock."""
    flat = array.ravel()
    if flat.size <= MANY_TEXTS:
        return pack(flat.tolist())
    parts = [_list_header(flat.size)]
    for first in range(0, flat.size, MANY_TEXTS):
        some = flat[first : first + MANY_TEXTS].tolist()
        parts.append(pack(some)[len(_list_header(len(some))) :])
    return b"".join(parts)


def _head(output: WireOutput, array: Array) -> bytes:
    """The msgpack of an output up to its elements, remembered by shape."""
    shape = array.shape
    fields = {"name": output.name, "datatype": output.datatype, "shape": shape, "data": None}
    head = pack(fields)[:-1]
    if not output.is_bytes:
        head += _bin_header(array.nbytes)
    if len(output.packed_heads) < MAX_REMEMBERED:
        output.packed_heads[shape] = head
    return head


def _bin_header(length: int) -> bytes:
    if length < 1 << 8:
        return b"\xc4" + length.to_bytes(1, "big")
    if length < 1 << 16:
        return b"\xc5" + length.to_bytes(2, "big")
    if length < 1 << 32:
        return b"\xc6" + length.to_bytes(4, "big")
    raise InvalidRequest(
        f"an output of {length} bytes does not fit msgpack (4 GiB); ask for binary data"
    )


def _list_header(length: int) -> bytes:
    if length < 16:  # noqa: PLR2004  what the one-byte header holds
        return _SHORT_LISTS[length]
    if length < 1 << 16:
        return b"\xdc" + length.to_bytes(2, "big")
    return b"\xdd" + length.to_bytes(4, "big")
