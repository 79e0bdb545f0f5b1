from __future__ import annotations

import struct
from typing import Any

import msgpack
import numpy as np
import orjson
import pytest

from penstock.server.codecs.negotiate import BINARY, JSON, MSGPACK, codec_for, rows_codec
from penstock.server.errors import UnsupportedMediaType


@pytest.mark.parametrize(
    ("content_type", "codec"),
    [
        (None, JSON),
        (b"", JSON),
        (b"application/json", JSON),
        (b"Application/JSON; charset=UTF-8", JSON),
        (b'application/json;charset="utf-8"', JSON),
        (b"application/octet-stream", JSON),
        (b"application/msgpack", MSGPACK),
        (b"application/x-msgpack", MSGPACK),
        (b"application/vnd.msgpack", MSGPACK),
    ],
)
def test_content_types(content_type: bytes | None, codec: Any) -> None:
    assert codec_for(content_type, None) is codec


@pytest.mark.parametrize(
    ("content_type", "length", "message"),
    [
        (b"text/csv", None, "content-type 'text/csv' is not spoken here: send application/json, "),
        (
            b"application/x-www-form-urlencoded",
            None,
            "with curl add -H 'content-type: application/json'",
        ),
        (b"application/json; charset=latin-1", None, "charset 'latin-1' is not spoken here"),
        (b"application/msgpack", 10, "goes with application/octet-stream, not msgpack"),
        (b"\xff" * 500, None, "is not spoken here"),
    ],
)
def test_other_content_types_are_refused(
    content_type: bytes, length: int | None, message: str
) -> None:
    with pytest.raises(UnsupportedMediaType, match=message):
        codec_for(content_type, length)


def test_the_header_decides_between_json_and_binary(
    wire_of: Any, tensor: Any, body_of: Any
) -> None:
    wire = wire_of(("x", "FP32", (-1, 2)))
    plain = JSON.decode(body_of(tensor([1, 2], [1, 2])), wire, None)
    raw = JSON.decode(struct.pack("<2f", 1, 2), wire, 0)
    assert np.array_equal(plain.inputs[0], raw.inputs[0])  # type: ignore[arg-type]


def test_responses_are_described_by_their_headers(wire_of: Any, tensor: Any, body_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1, 2)))
    outputs = [np.array([1]), np.array([[0.25, 0.75]], np.float32)]
    x = tensor([1, 2], [1, 2])
    plain = JSON.decode(body_of(x), wire, None)
    body, headers = JSON.encode(wire, plain, outputs)
    assert headers == b"content-type: application/json\r\n"
    assert JSON.encode_rows(wire, [plain], outputs) == ([body], headers)
    binary = JSON.decode(body_of(x, parameters={"binary_data_output": True}), wire, None)
    pieces, headers = JSON.encode(wire, binary, outputs)
    assert headers == (
        b"content-type: application/octet-stream\r\n"
        b"inference-header-content-length: %d\r\n" % len(pieces[0])  # type: ignore[arg-type]
    )
    assert orjson.loads(pieces[0])["model_name"] == "iris"
    packed, headers = MSGPACK.encode(wire, plain, outputs)
    assert headers == b"content-type: application/msgpack\r\n"
    assert MSGPACK.encode_rows(wire, [plain], outputs) == ([packed], headers)


def test_msgpack_rows_are_encoded_as_if_alone(wire_of: Any, tensor: Any, body_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1, 2)))
    requests = [JSON.decode(body_of(tensor([1, 2], [1, 2]), id=i), wire, None) for i in "abc"]
    outputs = [np.arange(3), np.arange(6, dtype=np.float32).reshape(3, 2)]
    bodies, _ = MSGPACK.encode_rows(wire, requests, outputs)
    assert bodies == [
        MSGPACK.encode(wire, request, [array[row : row + 1] for array in outputs])[0]
        for row, request in enumerate(requests)
    ]


def test_only_requests_of_json_are_answered_by_the_binary_extension(wire_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1,)))
    document = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.5]}],
        "parameters": {"binary_data_output": True},
    }
    asked = JSON.decode(orjson.dumps(document), wire, None)
    assert rows_codec(JSON, asked, wire) is BINARY
    asked = MSGPACK.decode(msgpack.packb(document), wire, None)
    assert rows_codec(MSGPACK, asked, wire) is None
    outputs = [np.zeros(1, np.int64), np.zeros((1, 2), np.float32)]
    _, lines = MSGPACK.encode(wire, asked, outputs)
    assert lines == b"content-type: application/msgpack\r\n"
