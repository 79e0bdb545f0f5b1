"""The binary tensor data extension of the Open Inference Protocol v2.

A body is JSON followed by the raw bytes of the tensors that have ``binary_data_size``, in order.
The header ``Inference-Header-Content-Length`` says where the JSON ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from penstock.runtimes.contract import VARIABLE
from penstock.server.errors import InvalidRequest

from . import json
from .json_data import malformed, read
from .large_json import LARGE_BYTES, LargeJson
from .messages import InferRequest
from .parameters import input_parameters
from .raw import from_raw, to_raw
from .request import batch_key, build, rows_alone
from .tensors import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

    from .request import Reader
    from .signature import WireInput, WireSignature


def decode(
    body: bytes | bytearray | memoryview, wire: WireSignature, json_length: int
) -> InferRequest:
    """Read an inference request whose tensors may be raw bytes.

    Args:
        body: The whole body, decompressed.
        wire: The model's signature.
        json_length: From the header: bytes of JSON at the start; 0 for a body that is nothing but
            the one input.

    Raises:
        InvalidRequest: Not a request that the model takes, or sizes that do not add up.
    """
    if json_length == 0:
        return _decode_tensor(body, wire)
    return _decode(_Reader(body, json_length), body, wire, json_length)


def locate(body: bytes, wire: WireSignature, json_length: int) -> list[tuple[int, int]]:
    """Where the tensors of a request begin and end that are raw bytes.

    Args:
        body: As for `decode`.
        wire: The model's signature.
        json_length: As for `decode`.

    Raises:
        InvalidRequest: As from `decode`.
    """
    if json_length == 0:
        return [(0, len(body))]
    locator = _Locator(body, json_length)
    _decode(locator, body, wire, json_length)
    return locator.spans


def _decode(
    reader: _Reader, body: bytes | bytearray | memoryview, wire: WireSignature, json_length: int
) -> InferRequest:
    if not 0 <= json_length <= len(body):
        raise InvalidRequest(
            f"Inference-Header-Content-Length is {json_length}, the body has {len(body)} bytes"
        )
    if json_length > LARGE_BYTES:
        text = LargeJson(bytes(memoryview(body)[:json_length]))
        reader.read_data = text.read
        request = build(text.document, wire, reader.read)
        text.check_all_read()
    else:
        try:
            document = orjson.loads(memoryview(body)[:json_length])
        except orjson.JSONDecodeError as error:
            raise malformed(error) from None
        request = build(document, wire, reader.read)
    if reader.position != len(body):
        raise InvalidRequest(
            f"{len(body) - reader.position} bytes are left after the last input: the sum of "
            "binary_data_size must be the bytes after the JSON"
        )
    return request


class _Reader:
    """A cursor over the raw tensors that follow the JSON of a body."""

    __slots__ = ("_body", "position", "read_data")

    def __init__(self, body: bytes | bytearray | memoryview, position: int) -> None:
        self._body = memoryview(body)
        self.position = position
        self.read_data: Reader = read  # of inputs whose elements are in the JSON

    def read(self, entry: dict[str, Any], spec: WireInput, shape: list[int], size: int) -> Array:
        length = input_parameters(entry, f"input '{spec.name}'").get("binary_data_size")
        if length is None:
            return self.read_data(entry, spec, shape, size)
        if "data" in entry:
            raise InvalidRequest(f"input '{spec.name}' has both 'data' and binary_data_size")
        if type(length) is not int or length < 0:
            raise InvalidRequest(
                f"input '{spec.name}': binary_data_size must be a number of bytes, "
                f"not {show(length)}"
            )
        start = self.position
        if start + length > len(self._body):
            raise InvalidRequest(
                f"input '{spec.name}': binary_data_size is {length}, but only "
                f"{len(self._body) - start} bytes of the body are left"
            )
        self.position = start + length
        return from_raw(self._body[start : start + length], spec, shape, size)


class _Locator(_Reader):
    """A reader that notes the start and end of each raw tensor, in bytes of the body."""

    __slots__ = ("spans",)

    def __init__(self, body: bytes | bytearray | memoryview, position: int) -> None:
        super().__init__(body, position)
        self.spans: list[tuple[int, int]] = []

    def read(self, entry: dict[str, Any], spec: WireInput, shape: list[int], size: int) -> Array:
        start = self.position
        array = super().read(entry, spec, shape, size)
        if self.position > start:
            self.spans.append((start, self.position))
        return array


def _decode_tensor(body: bytes | bytearray | memoryview, wire: WireSignature) -> InferRequest:
    """A body without JSON: one row of the only input, all outputs wanted as raw bytes."""
    if len(wire.inputs) != 1:
        raise InvalidRequest(
            "a body without JSON (Inference-Header-Content-Length: 0) is for models of one input; "
            f"this one has {len(wire.inputs)}"
        )
    (spec,) = wire.inputs.values()
    shape = list(spec.shape)
    if wire.batch_axis:
        shape[0] = 1
    if spec.datatype == "BYTES":
        element = bytes(body)
        body = len(element).to_bytes(4, "little") + element
        shape = [1 if dimension == VARIABLE else dimension for dimension in shape]
    elif shape.count(VARIABLE) == 1:
        fixed = spec.dtype.itemsize
        for dimension in shape:
            fixed *= 1 if dimension == VARIABLE else dimension
        shape[shape.index(VARIABLE)] = len(body) // fixed if fixed else 0
    elif VARIABLE in shape:
        raise InvalidRequest(
            f"input '{spec.name}' has several open dimensions ({list(spec.shape)}); "
            "send JSON with its shape before the tensor"
        )
    size = 1
    for dimension in shape:
        size *= dimension
    array = from_raw(memoryview(body), spec, shape, size)
    rows = 1 if wire.batch_axis else rows_alone(wire, [array])
    names = wire.all_outputs
    request = InferRequest([array], rows, names, binary_outputs=frozenset(names))
    if not wire.static:
        request.key = batch_key(wire, request)
    return request


def encode(
    wire: WireSignature, request: InferRequest, outputs: Sequence[Array]
) -> tuple[list[bytes | memoryview], int]:
    """Write a response whose tensors in ``request.binary_outputs`` are raw bytes.

    Args:
        wire: The signature of the model that answered.
        request: Request that is answered.
        outputs: One array per name in ``request.outputs``, holding this request's rows only.

    Returns:
        The pieces of the body, and the length of its JSON for the header
        ``Inference-Header-Content-Length``. Large pieces are views of ``outputs``.

    Raises:
        InvalidRequest: A BYTES output wanted as JSON is not UTF-8.
    """
    binary = request.binary_outputs or frozenset()
    texts: list[bytes] = []
    pieces: list[bytes | memoryview] = [b""]
    for output, array in json.in_response_order(wire, request, outputs):
        head = output.head(array.shape)
        if output.name in binary:
            raw = to_raw(array)
            pieces.append(raw)
            texts.append(b'%b,"parameters":{"binary_data_size":%d}}' % (head, len(raw)))
        else:
            texts.append(b'%b,"data":%b}' % (head, json.data_of(output, array)))
    identity = b"" if request.id is None else b'"id":%b,' % orjson.dumps(request.id)
    text = b'%b%b"outputs":[%b]}' % (wire.head, identity, b",".join(texts))
    pieces[0] = text
    return pieces, len(text)


def encode_rows(
    wire: WireSignature, requests: Sequence[InferRequest], outputs: Sequence[Array]
) -> tuple[list[bytes], int]:
    """Write the responses of a whole batch of requests of one row each.

    Args:
        wire: The signature of the model that answered; none of its outputs is BYTES.
        requests: One per row, in that order; each `InferRequest.plain_binary`, all with equal
            ``outputs``.
        outputs: One array per wanted output, with ``len(requests)`` rows.

    Returns:
        For each request the pieces of `encode`, joined, and the length of the JSON of all of them.
    """
    texts: list[bytes] = []
    columns: list[list[bytes]] = []
    for name, array in zip(requests[0].outputs, outputs, strict=True):
        width = array.nbytes // len(array)
        head = wire.outputs[name].head((1, *array.shape[1:]))
        texts.append(b'%b,"parameters":{"binary_data_size":%d}}' % (head, width))
        raw = array.tobytes()
        columns.append([raw[row * width : (row + 1) * width] for row in range(len(array))])
    text = b'%b"outputs":[%b]}' % (wire.head, b",".join(texts))
    return [b"".join((text, *row)) for row in zip(*columns, strict=True)], len(text)
