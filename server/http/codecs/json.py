"""Open Inference Protocol v2 requests and responses as JSON."""
# ruff: noqa: A005  the format's name; nothing here is imported bare

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from penstock.server.errors import InvalidRequest

from .request import build
from .tensors import from_list, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .signature import WireInput, WireOutput, WireSignature

_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_dumps = orjson.dumps
_loads = orjson.loads


def decode(body: bytes | bytearray | memoryview, wire: WireSignature) -> InferRequest:
    """Read an inference request.

    Raises:
        InvalidRequest: It is not JSON, or not a request that the model takes.
    """
    try:
        document = _loads(body)
    except orjson.JSONDecodeError as error:
        raise malformed(error) from None
    return build(document, wire, _read)


def malformed(error: orjson.JSONDecodeError) -> InvalidRequest:
    """What the parser found, with a hint where clients are known to stumble."""
    rest = error.doc[error.pos : error.pos + 9] if isinstance(error.doc, str) else ""
    hint = ""
    if rest.startswith(("NaN", "Inf", "-Inf", "nan", "inf", "aN")):
        hint = "; JSON has no NaN and no infinity: send null for NaN, or binary data"
    return InvalidRequest(f"the body is not valid JSON: {error}{hint}")


def _read(entry: dict[str, Any], spec: WireInput, shape: list[int], size: int) -> Array:
    data = entry.get("data")
    if type(data) is not list:
        if data is not None and not shape and type(data) is not dict:
            data = [data]  # a scalar nested zero deep
        else:
            raise InvalidRequest(_no_data(entry, spec, data))
    return from_list(data, spec, shape, size)


def _no_data(entry: dict[str, Any], spec: WireInput, data: Any) -> str:
    parameters = entry.get("parameters")
    if type(parameters) is dict and "binary_data_size" in parameters:
        return (
            f"input '{spec.name}' has binary_data_size, but the request has no "
            "Inference-Header-Content-Length header to say where the binary data begins"
        )
    problem = "has no 'data'" if data is None else f"has 'data' that is {show(data)}"
    return f"input '{spec.name}' {problem}; expected a list"


def encode(wire: WireSignature, request: InferRequest, outputs: Sequence[Array]) -> bytes:
    """Write a response of JSON alone.

    Args:
        wire: The signature of the model that answered.
        request: What is answered.
        outputs: One array per name in ``request.outputs``, holding this request's rows only.

    Returns:
        The body. ``data`` is flat, in row-major order. NaN and infinities are ``null``.

    Raises:
        InvalidRequest: A BYTES output is not UTF-8 and so needs ``binary_data``.
    """
    parts = [opening(wire, request)]
    comma = b'"outputs":['
    for output, array in in_response_order(wire, request, outputs):
        parts.append(comma)
        parts.append(output.head(array.shape))
        parts.append(b',"data":')
        parts.append(data_of(output, array))
        comma = b"},"
    parts.append(b"}]}" if outputs else b'"outputs":[]}')
    return b"".join(parts)


def opening(wire: WireSignature, request: InferRequest) -> bytes:
    """The response up to its outputs: model, version, and the request's id if it has one."""
    if request.id is None:
        return wire.head
    return b'%b"id":%b,' % (wire.head, _dumps(request.id))


def in_response_order(
    wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
) -> Sequence[tuple[WireOutput, Array]]:
    """Outputs with their arrays, in the order that the client asked for."""
    if request.outputs is wire.all_outputs:
        pairs = list(zip(wire.all_wire_outputs, outputs, strict=True))
    else:
        pairs = [(wire.outputs[n], a) for n, a in zip(request.outputs, outputs, strict=True)]
    if request.response_order is not None:
        pairs = [pairs[position] for position in request.response_order]
    return pairs


def data_of(output: WireOutput, array: Array) -> bytes:
    """The flat JSON list of a tensor's elements."""
    if not output.bytes_:
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
    if not requests:
        return []
    names = requests[0].outputs
    wanted = [wire.outputs[name] for name in names]
    columns: list[list[bytes]] = []
    template = [wire.head.replace(b"%", b"%%"), b"%b"]
    comma = b'"outputs":['
    for output, array in zip(wanted, outputs, strict=True):
        head = output.head((1, *array.shape[1:])).replace(b"%", b"%%")
        template += [comma, head, b',"data":[%b]']
        columns.append(_rows_of(output, array))
        comma = b"},"
    template.append(b"}]}" if wanted else b'"outputs":[]}')
    identities = [b"" if r.id is None else b'"id":%b,' % _dumps(r.id) for r in requests]
    return list(map(b"".join(template).__mod__, zip(identities, *columns, strict=True)))


def _rows_of(output: WireOutput, array: Array) -> list[bytes]:
    rows = len(array)
    if output.bytes_:
        return [data_of(output, row)[1:-1] for row in array]
    if array.ndim == 1:
        return _dumps(array, None, _NUMPY)[1:-1].split(b",")
    table = array if array.ndim == 2 else array.reshape(rows, array.size // rows)  # noqa: PLR2004
    return _dumps(table, None, _NUMPY)[2:-2].split(b"],[")
