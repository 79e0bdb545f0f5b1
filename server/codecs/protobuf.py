"""Requests and responses of the Open Inference Protocol for gRPC, as bytes of Protocol Buffers.

A tensor is raw bytes (``raw_input_contents``, one entry for each input) or a typed list
(``contents``). The answer has the form of the request. FP16 has no typed list, so an answer with an
output of FP16 is raw bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError

from penstock.server.errors import BodyTooLarge, InvalidRequest
from penstock.server.oip.field_count import Malformed, TooManyFields, count_fields, has_contents
from penstock.server.oip.length_prefix import length_prefix
from penstock.server.oip.schema import INFER_REQUEST, INFER_RESPONSE

from .json import in_response_order
from .large_json import LARGE_BYTES
from .raw import from_raw, to_raw
from .request import build
from .signature import MAX_REMEMBERED
from .typed_contents import CONTENTS, fill_contents, from_contents

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from penstock.runtimes.contract import Array

    from .messages import InferRequest
    from .negotiate import Body
    from .signature import WireInput, WireOutput, WireSignature

    #: Outputs of a response with their shapes.
    Shapes = Sequence[tuple[WireOutput, tuple[int, ...]]]

#: Fields of one request, without the elements of its tensors.
MAX_FIELDS: Final = 1 << 16
#: Fields of a request whose tensors are looked for on the event loop.
_FEW_FIELDS: Final = 256
#: Of a response: the keys of ``id`` (3) and of ``raw_output_contents`` (6).
_ID: Final = 0x1A
_RAW: Final = 0x32
#: ``binary_outputs`` of a request that came with typed lists, and is answered so.
_TYPED: Final[frozenset[str]] = frozenset()


def decode(body: bytes | bytearray | memoryview, wire: WireSignature) -> InferRequest:
    """Read a ``ModelInferRequest``.

    Raises:
        InvalidRequest: It is none, or not a request that the model takes.
        BodyTooLarge: It has too many fields.
    """
    body = bytes(body)
    try:
        if len(body) > LARGE_BYTES:
            count_fields(body, MAX_FIELDS)
        message = INFER_REQUEST.FromString(body)
    except (Malformed, DecodeError):
        raise InvalidRequest("the message is not a ModelInferRequest") from None
    except TooManyFields:
        raise BodyTooLarge(f"the message has more than {MAX_FIELDS} fields") from None
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise InvalidRequest(
            f"raw_input_contents has {len(raw)} entries, expected one for each of the "
            f"{len(message.inputs)} inputs"
        )
    request = build(_document(message), wire, _read_raw if raw else _read_typed)
    request.binary_outputs = None if raw or not message.inputs else _TYPED
    return request


def is_quick(body: bytes, wire: WireSignature) -> bool:
    """Whether a large request takes no time to read, because its tensors are raw numbers."""
    try:
        return not wire.takes_texts and not has_contents(body, _FEW_FIELDS)
    except Malformed:
        return True


def encode(wire: WireSignature, request: InferRequest, outputs: Sequence[Array]) -> Body:
    """Write a ``ModelInferResponse``.

    Args:
        wire: The signature of the model that answered.
        request: Request that is answered.
        outputs: One array per name in ``request.outputs``, holding this request's rows only.
    """
    pairs = list(in_response_order(wire, request, outputs))
    if request.binary_outputs is not None and all(one.datatype in CONTENTS for one, _ in pairs):
        return _encode_typed(wire, request, pairs)
    opening = _opening(wire, [(output, array.shape) for output, array in pairs])
    pieces: list[bytes | memoryview] = [opening, _id(request)]
    for _, array in pairs:
        raw = to_raw(array)
        pieces += (length_prefix(_RAW, len(raw)), raw)
    return pieces


def encode_rows(
    wire: WireSignature, requests: Sequence[InferRequest], outputs: Sequence[Array]
) -> list[bytes]:
    """Write the responses of a whole batch of requests of one row each, as `encode` would.

    Args:
        wire: The signature of the model that answered.
        requests: One per row, in that order; each `InferRequest.plain`, all with equal ``outputs``.
        outputs: One array per wanted output, with ``len(requests)`` rows.
    """
    specs = [wire.outputs[name] for name in requests[0].outputs]
    pairs = list(zip(specs, outputs, strict=True))
    opening = _opening(wire, [(output, (1, *array.shape[1:])) for output, array in pairs])
    columns: list[list[bytes]] = []
    for spec, array in pairs:
        if spec.is_bytes:
            cells = [bytes(to_raw(array[row : row + 1])) for row in range(len(array))]
            columns.append([length_prefix(_RAW, len(cell)) + cell for cell in cells])
            continue
        width = array.nbytes // len(array)
        head = length_prefix(_RAW, width)
        raw = array.tobytes()
        columns.append([head + raw[row * width : (row + 1) * width] for row in range(len(array))])
    return [
        b"".join((opening, _id(request), *row))
        for request, row in zip(requests, zip(*columns, strict=True), strict=True)
    ]


def _document(message: Any) -> dict[str, Any]:
    """A request as JSON would have it, with its tensors as they are."""
    raw = message.raw_input_contents
    document: dict[str, Any] = {
        "inputs": [
            _with_parameters(
                one,
                {
                    "name": one.name,
                    "datatype": one.datatype,
                    "shape": list(one.shape),
                    "data": (one, raw[index]) if raw else one,
                },
            )
            for index, one in enumerate(message.inputs)
        ]
    }
    if message.id:
        document["id"] = message.id
    if message.outputs:
        document["outputs"] = [_with_parameters(one, {"name": one.name}) for one in message.outputs]
    return _with_parameters(message, document)


def _with_parameters(owner: Any, entry: dict[str, Any]) -> dict[str, Any]:
    if owner.parameters:
        entry["parameters"] = {name: _value(one) for name, one in owner.parameters.items()}
    return entry


def _value(parameter: Any) -> Any:
    """The value of an ``InferParameter``; ``None`` if it has none."""
    kind = parameter.WhichOneof("parameter_choice")
    return None if kind is None else getattr(parameter, kind)


def _read_raw(entry: dict[str, Any], spec: WireInput, shape: list[int], size: int) -> Array:
    tensor, raw = entry["data"]
    if tensor.HasField("contents"):
        raise InvalidRequest(
            f"input '{spec.name}' has both 'contents' and an entry in raw_input_contents"
        )
    return from_raw(raw, spec, shape, size)


def _read_typed(entry: dict[str, Any], spec: WireInput, shape: list[int], size: int) -> Array:
    return from_contents(entry["data"].contents, spec, shape, size)


def _encode_typed(
    wire: WireSignature, request: InferRequest, pairs: Sequence[tuple[WireOutput, Array]]
) -> bytes:
    message = _described(wire, [(output, array.shape) for output, array in pairs])
    message.id = request.id or ""
    for tensor, (output, array) in zip(message.outputs, pairs, strict=True):
        fill_contents(tensor.contents, output.datatype, array)
    text: bytes = message.SerializeToString()
    return text


def _described(wire: WireSignature, shapes: Shapes) -> Any:
    """A response with the names, datatypes and shapes of its outputs, and no elements."""
    message = INFER_RESPONSE(model_name=wire.model_name, model_version=wire.model_version)
    for output, shape in shapes:
        message.outputs.add(name=output.name, datatype=output.datatype, shape=shape)
    return message


def _opening(wire: WireSignature, shapes: Shapes) -> bytes:
    """The bytes of a response without its id and its elements, which may follow in any order.

    Fields of a message may be written one after the other by different writers: a parser reads the
    same message (https://protobuf.dev/programming-guides/encoding/#order).
    """
    kind: Hashable = (INFER_RESPONSE, *((output.name, shape) for output, shape in shapes))
    known = wire.templates.get(kind)
    if known is None:
        known = _described(wire, shapes).SerializeToString()
        if len(wire.templates) < MAX_REMEMBERED:
            wire.templates[kind] = known
    return known


def _id(request: InferRequest) -> bytes:
    if request.id is None:
        return b""
    text = request.id.encode()
    return length_prefix(_ID, len(text)) + text
