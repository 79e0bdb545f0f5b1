"""Open Inference Protocol v2 requests and responses as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from penstock.server.errors import InvalidRequest

from .json_data import malformed, read
from .large import MIN_LIST_BYTES
from .large import decode as decode_large
from .large_json import LARGE_BYTES, LargeJson
from .request import build
from .signature import MAX_REMEMBERED

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .signature import WireOutput, WireSignature

#: Elements written in one call into C, which holds the interpreter lock: about a millisecond.
MANY_NUMBERS: Final = 16_384
MANY_TEXTS: Final = 1024

_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_dumps = orjson.dumps
_loads = orjson.loads


def decode(body: bytes | bytearray | memoryview, wire: WireSignature) -> InferRequest:
    """Read an inference request.

    Raises:
        InvalidRequest: It is not JSON, or not a request that the model takes.
    """
    if type(body) is not bytes:
        body = bytes(body)
    if len(body) > LARGE_BYTES:
        text = LargeJson(body)
        large = build(text.document, wire, text.read)
        text.check_all_read()
        return large
    if len(body) >= MIN_LIST_BYTES:
        request = decode_large(body, wire)
        if request is not None:
            return request
    try:
        document = _loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(error) from None
    return build(document, wire, read)


def encode(wire: WireSignature, request: InferRequest, outputs: Sequence[Array]) -> bytes:
    """Write a response of JSON alone.

    Args:
        wire: The signature of the model that answered.
        request: Request that is answered.
        outputs: One array per name in ``request.outputs``, holding this request's rows only.

    Returns:
        The body. ``data`` is flat, in row-major order. NaN and infinities are ``null``.

    Raises:
        InvalidRequest: A BYTES output is not UTF-8 and so needs ``binary_data``.
    """
    parts = [b"" if request.id is None else b'"id":%b,' % _dumps(request.id)]
    shapes: list[Hashable] = []
    if request.outputs is wire.all_outputs and request.response_order is None and wire.numeric:
        for array in outputs:
            shapes.append(array.shape)
            parts.append(_dumps(array.ravel(), None, _NUMPY))
    else:
        shapes += (request.outputs, request.response_order)
        for output, array in in_response_order(wire, request, outputs):
            shapes.append(array.shape)
            parts.append(data_of(output, array))
    kind = tuple(shapes)
    template = wire.templates.get(kind)
    if template is None:
        pairs = in_response_order(wire, request, outputs)
        heads = [output.head(array.shape) for output, array in pairs]
        template = _remember(wire, kind, _template(wire, heads, b"%b"))
    return template % tuple(parts)


def encode_pieces(
    wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
) -> list[bytes | memoryview]:
    """The bytes of `encode` in pieces, made so that a thread never keeps the interpreter long.

    Args:
        wire: As for `encode`.
        request: As for `encode`.
        outputs: As for `encode`.

    Raises:
        InvalidRequest: As from `encode`.
    """
    identity = b"" if request.id is None else b'"id":%b,' % _dumps(request.id)
    opening = b'%b%b"outputs":[' % (wire.head, identity)
    pieces: list[bytes | memoryview] = []
    for output, array in in_response_order(wire, request, outputs):
        pieces.append(b'%b%b,"data":[' % (opening, output.head(array.shape)))
        for number, text in enumerate(_texts_of(output, array)):
            if number:
                pieces.append(b",")
            pieces.append(text)
        opening = b"]},"
    pieces.append(b"]}]}" if pieces else opening + b"]}")
    return pieces


def _texts_of(output: WireOutput, array: Array) -> Iterator[bytes]:
    """The elements of a tensor as JSON, without the brackets around them, a part at a time."""
    flat = array.ravel()
    step = MANY_TEXTS if output.is_bytes else MANY_NUMBERS
    for first in range(0, flat.size, step):
        yield data_of(output, flat[first : first + step])[1:-1]


def _template(wire: WireSignature, heads: list[bytes], data: bytes) -> bytes:
    """A response with ``%b`` in place of the id and of the data of each output."""
    outputs = [b'%b,"data":%b}' % (head.replace(b"%", b"%%"), data) for head in heads]
    return b'%b%%b"outputs":[%b]}' % (wire.head.replace(b"%", b"%%"), b",".join(outputs))


def _remember(wire: WireSignature, kind: Hashable, template: bytes) -> bytes:
    if len(wire.templates) < MAX_REMEMBERED:
        wire.templates[kind] = template
    return template


def in_response_order(
    wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
) -> Iterable[tuple[WireOutput, Array]]:
    """Outputs with their arrays, in the order that the client asked for."""
    if request.outputs is wire.all_outputs:
        wanted: Iterable[WireOutput] = wire.all_wire_outputs
    else:
        wanted = map(wire.outputs.__getitem__, request.outputs)
    pairs = zip(wanted, outputs)  # noqa: B905  the contract of runtimes; strict costs a tenth
    if request.response_order is None:
        return pairs
    listed = list(pairs)
    return [listed[position] for position in request.response_order]


def data_of(output: WireOutput, array: Array) -> bytes:
    """The flat JSON list of a tensor's elements, whose size a thread may make in parts."""
    if array.size > MANY_NUMBERS:
        return b"[%b]" % b",".join(_texts_of(output, array))
    if not output.is_bytes:
        return _dumps(array.ravel(), None, _NUMPY)
    return _dumps(_strings(output, array))


def _strings(output: WireOutput, array: Array) -> list[str]:
    try:
        return [
            element if type(element) is str else element.decode()
            for element in array.ravel().tolist()
        ]
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"output '{output.name}' is not UTF-8 and cannot be JSON; "
            'ask for it with "parameters":{"binary_data":true}, or use msgpack'
        ) from None


def encode_rows(
    wire: WireSignature, requests: Sequence[InferRequest], outputs: Sequence[Array]
) -> list[bytes]:
    """Write the responses of a whole batch of `plain` requests at once.

    Each output of the batch is serialised once and its text split at the row boundaries, which
    costs a row a fraction of a call of its own. The bytes are those of `encode` for each request.

    Args:
        wire: The signature of the model that answered.
        requests: One per row, in that order; each `InferRequest.plain`, all with equal ``outputs``.
        outputs: One array per wanted output, with ``len(requests)`` rows.

    Raises:
        InvalidRequest: A BYTES output of some row is not UTF-8; `encode` tells which.
    """
    if len(requests) == 1:
        return [encode(wire, requests[0], outputs)]
    if not requests:
        return []
    names = requests[0].outputs
    wanted = [wire.outputs[name] for name in names]
    kind = (names, "rows", *[array.shape[1:] for array in outputs])
    template = wire.templates.get(kind)
    if template is None:
        heads = [o.head((1, *a.shape[1:])) for o, a in zip(wanted, outputs, strict=True)]
        template = _remember(wire, kind, _template(wire, heads, b"[%b]"))
    columns = [_rows_of(*pair) for pair in zip(wanted, outputs, strict=True)]
    identities = [b"" if r.id is None else b'"id":%b,' % _dumps(r.id) for r in requests]
    return list(map(template.__mod__, zip(identities, *columns, strict=True)))


def _rows_of(output: WireOutput, array: Array) -> list[bytes]:
    rows = len(array)
    if output.is_bytes:
        return [data_of(output, array[row : row + 1])[1:-1] for row in range(rows)]
    if array.ndim == 1:
        return _dumps(array, None, _NUMPY)[1:-1].split(b",")
    table = array if array.ndim == 2 else array.reshape(rows, array.size // rows)  # noqa: PLR2004
    return _dumps(table, None, _NUMPY)[2:-2].split(b"],[")
