"""Large bodies are read in pieces: with the same result, and at a bounded cost.

The plain way, which decodes a body as a whole, is the oracle.
"""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from functools import partial
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import orjson
import pytest

from penstock.server.codecs import (
    binary,
    json,
    json_data,
    json_values,
    large,
    large_json,
    large_msgpack,
    long_lists,
)
from penstock.server.codecs import msgpack as packed
from penstock.server.codecs.request import build
from penstock.server.errors import ApiError, BodyTooLarge, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20
#: Beside what a body itself and its tensors take.
SLACK_BYTES = 24 * MIB


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every body is large, and a piece holds a few numbers."""
    monkeypatch.setattr(json, "LARGE_BYTES", -1)
    monkeypatch.setattr(binary, "LARGE_BYTES", -1)
    monkeypatch.setattr(large_json, "LARGE_BYTES", -1)
    monkeypatch.setattr(large, "MIN_LIST_BYTES", 1)
    monkeypatch.setattr(long_lists, "PIECE_BYTES", 7)
    monkeypatch.setattr(json_values, "WINDOW_BYTES", 5)
    monkeypatch.setattr(packed, "LARGE_BYTES", -1)
    monkeypatch.setattr(packed, "holds_few_values", lambda _: False)
    monkeypatch.setattr(large_msgpack, "LARGE_BYTES", 16)
    monkeypatch.setattr(large_msgpack, "PIECE_ELEMENTS", 3)


def outcome(read: Callable[[], Any]) -> Any:
    """What a request means, or that it is refused."""
    try:
        request = read()
    except ApiError as error:
        return error.status
    arrays = [(one.shape, one.dtype, repr(one.tolist())) for one in request.inputs]
    return arrays, request.rows, request.outputs, request.id


def plain_json(body: bytes, wire: Any) -> Any:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidRequest("no JSON") from None
    return build(document, wire, json_data.read)


def plain_msgpack(body: bytes, wire: Any) -> Any:
    try:
        document = msgpack.unpackb(body)
    except (ValueError, msgpack.UnpackException):
        raise InvalidRequest("no msgpack") from None
    return build(document, wire, packed._read)


ELEMENTS: dict[str, list[Any]] = {
    "FP32": [0, 1.5, -2e3, None, True, 1e39, "1", {}, [], 12345678.9],
    "INT8": [0, -128, 127, 1.0, True, 128, 1.5, None, "a"],
    "BOOL": [True, False, 1, 0, 2, None, "true"],
    "BYTES": ["a", "grüße", "", '"\\,[]{}:', "data", 1, None],
}


def nested(elements: list[Any], shape: list[int]) -> Any:
    if len(shape) <= 1:
        return elements
    width = len(elements) // shape[0] if shape[0] else 0
    return [nested(elements[at * width : (at + 1) * width], shape[1:]) for at in range(shape[0])]


def bodies(seed: int, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Requests, most of them right."""
    rng = random.Random(seed)
    for _ in range(count):
        datatype = rng.choice(list(ELEMENTS))
        good = 3 if datatype != "FP32" else 5
        shape = [rng.choice((1, 1, 2, 3, 5)), rng.choice((1, 2, 4))]
        if rng.random() < 0.3:
            shape.append(rng.choice((1, 2)))
        size = int(np.prod(shape))
        pool = ELEMENTS[datatype]
        elements = [
            pool[rng.randrange(good if rng.random() < 0.97 else len(pool))] for _ in range(size)
        ]
        if rng.random() < 0.1:
            elements = elements[:-1]
        data = nested(elements, shape) if rng.random() < 0.5 else elements
        if rng.random() < 0.05 and isinstance(data[0] if data else None, list):
            data[rng.randrange(len(data))] = rng.choice(([], 1, [[1]]))
        entry = {"name": "x", "datatype": datatype, "shape": shape, "data": data}
        keys = list(entry)
        rng.shuffle(keys)
        document: dict[str, Any] = {"inputs": [{key: entry[key] for key in keys}]}
        if rng.random() < 0.2:
            document["id"] = rng.choice(('a"data":[1,2]', "\\", "[,", '\\"'))
        if rng.random() < 0.1:
            document["parameters"] = {"data": [1, 2, 3]}
        yield datatype, document


def changed(rng: random.Random, body: bytes) -> bytes:
    """A body with a few bytes deleted, doubled or exchanged."""
    raw = bytearray(body)
    for _ in range(rng.choice((0, 1, 1, 2))):
        at = rng.randrange(len(raw))
        how = rng.random()
        if how < 0.3:
            del raw[at]
        elif how < 0.6:
            raw[at:at] = rng.choice((b"[", b"]", b",", b"1", b" ", b'"', b"{", b"}", b"-"))
        else:
            other = rng.randrange(len(raw))
            raw[at], raw[other] = raw[other], raw[at]
    return bytes(raw)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("seed", range(4))
def test_json_in_pieces_means_what_it_means_as_a_whole(wire_of: Any, seed: int) -> None:
    rng = random.Random(seed)
    agreed = 0
    for datatype, document in bodies(seed, 1500):
        shape = document["inputs"][0]["shape"]
        wire = wire_of(("x", datatype, (-1,) * len(shape)))
        indent = orjson.OPT_INDENT_2 if rng.random() < 0.2 else 0
        body = orjson.dumps(document, option=indent)
        for one in (body, changed(rng, body)):
            expected = outcome(partial(plain_json, one, wire))
            found = outcome(partial(json.decode, one, wire))
            if "parameters" in document and found == 400:
                continue  # a long list that belongs to no input is refused
            assert found == expected, one
            agreed += found != 400
    assert agreed > 1000


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("seed", range(4))
def test_msgpack_in_pieces_means_what_it_means_as_a_whole(wire_of: Any, seed: int) -> None:
    rng = random.Random(seed)
    agreed = 0
    for datatype, document in bodies(seed + 100, 1500):
        shape = document["inputs"][0]["shape"]
        wire = wire_of(("x", datatype, (-1,) * len(shape)))
        body = msgpack.packb(document)
        raw = bytearray(body)
        if rng.random() < 0.5:
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        for one in (body, bytes(raw), body[: rng.randrange(len(body))]):
            expected = outcome(partial(plain_msgpack, one, wire))
            found = outcome(partial(packed.decode, one, wire))
            if found == 413:
                assert expected == 400  # a large value where a small one belongs
                continue
            assert found == expected, one
            agreed += found != 400
    assert agreed > 1000


def peak_of(read: Callable[[], Any]) -> tuple[int, Any]:
    """Bytes at the peak, and the outcome."""
    tracemalloc.start()
    try:
        try:
            result = read()
        except ApiError as error:
            result = error
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


def wrapped(data: bytes, shape: str = "[1,1]", datatype: str = "FP32") -> bytes:
    head = f'{{"inputs":[{{"name":"x","datatype":"{datatype}","shape":{shape},"data":'
    return head.encode() + data + b"}]}"


COSTLY_JSON: dict[str, Callable[[], bytes]] = {
    "numbers, too many": lambda: wrapped(b"[" + b"0," * 4_000_000 + b"0]"),
    "numbers, too many rows": lambda: wrapped(b"[" + b"0," * 3_999_999 + b"0]", "[4000000,1]"),
    "empty lists": lambda: wrapped(b"[" + b"[]," * 2_000_000 + b"[]]"),
    "lists in lists": lambda: wrapped(b"[" * 4_000_000),
    "lists in lists, closed": lambda: wrapped(b"[" * 1000 + b"]" * 1000 + b" " * 1_000_000),
    "empty objects": lambda: wrapped(b"[" + b"{}," * 2_000_000 + b"{}]"),
    "objects in objects": lambda: b'{"a":' * 1_500_000,
    "texts": lambda: wrapped(b"[" + b'"",' * 2_000_000 + b'""]', "[2000001,1]", "BYTES"),
    "texts with escapes": lambda: wrapped(
        b"[" + b'"\\"",' * 1_500_000 + b'""]', "[1500001,1]", "BYTES"
    ),
    "keys": lambda: b'{"inputs":[],' + b"".join(b'"%d":0,' % i for i in range(700_000)) + b'"a":0}',
    "inputs": lambda: b'{"inputs":[' + b"{}," * 2_000_000 + b"{}]}",
    "data after data": lambda: b'{"inputs":[{' + b'"data":[],' * 800_000 + b'"data":[]}]}',
    "no JSON": lambda: b"[{" * 4_000_000,
    "a long text": lambda: b'{"id":"' + b"a" * (20 * MIB) + b'"}',
}


@pytest.mark.parametrize("case", COSTLY_JSON)
def test_json_that_the_model_does_not_take_is_refused_cheaply(wire_of: Any, case: str) -> None:
    datatype = "BYTES" if case.startswith("texts") else "FP32"
    wire = wire_of(("x", datatype, (-1, 1)))
    body = COSTLY_JSON[case]()
    peak, result = peak_of(partial(json.decode, body, wire))
    assert isinstance(result, (InvalidRequest, BodyTooLarge))
    assert peak <= 3 * len(body) + SLACK_BYTES


@pytest.mark.parametrize("shape", ["[1,1500000]", "[1500,1000]"])
@pytest.mark.parametrize("datatype", ["FP32", "INT64", "FP64"])
def test_json_that_the_model_takes_costs_its_tensor(
    wire_of: Any, shape: str, datatype: str
) -> None:
    wire = wire_of(("x", datatype, (-1, -1)))
    for data in (
        b"[" + b"1," * 1_499_999 + b"1]",
        orjson.dumps(np.ones(orjson.loads(shape), np.int64).tolist()),
    ):
        body = wrapped(data, shape, datatype)
        peak, request = peak_of(partial(json.decode, body, wire))
        (array,) = request.inputs
        assert (array == 1).all()
        assert peak <= array.nbytes + 3 * len(body) + SLACK_BYTES


def array32(count: int) -> bytes:
    return b"\xdd" + struct.pack(">I", count)


def packed_request(data: bytes, shape: list[int], datatype: str = "FP32") -> bytes:
    head = {"name": "x", "datatype": datatype, "shape": shape}
    entry = b"\x84" + msgpack.packb(head)[1:] + msgpack.packb("data") + data
    return b"\x81" + msgpack.packb("inputs") + b"\x91" + entry


MANY = 4_000_000
COSTLY_MSGPACK: dict[str, Callable[[], bytes]] = {
    "arrays that promise": lambda: packed_request(array32(39_000) * 7_000, [1, 1]),
    "arrays that promise, small": lambda: packed_request(array32(5_000) * 1_000, [1, 1]),
    "arrays that promise, large": lambda: packed_request(
        array32(8 * MIB) * 500 + b"\x90" * (8 * MIB), [1, 1]
    ),
    "one that promises": lambda: packed_request(array32(0xFFFFFFFF), [1, 1]),
    "a map that promises": lambda: packed_request(b"\xdf\xff\xff\xff\xff", [1, 1]),
    "a text that promises": lambda: packed_request(b"\xdb\xff\xff\xff\xff", [1, 1]),
    "bytes that promise": lambda: packed_request(b"\xc6\xff\xff\xff\xff", [1, 1]),
    "numbers": lambda: packed_request(array32(MANY) + b"\x00" * MANY, [1, 1]),
    "numbers, too many rows": lambda: packed_request(array32(MANY) + b"\x00" * MANY, [MANY, 1]),
    "empty lists": lambda: packed_request(array32(MANY) + b"\x90" * MANY, [1, MANY]),
    "empty objects": lambda: packed_request(array32(MANY) + b"\x80" * MANY, [1, MANY]),
    "empty texts": lambda: packed_request(array32(MANY) + b"\xa0" * MANY, [1, MANY]),
    "lists of one": lambda: packed_request(array32(MANY) + b"\x91\x00" * MANY, [1, MANY, 1]),
    "inputs": lambda: b"\x81" + msgpack.packb("inputs") + array32(MANY) + b"\x80" * MANY,
    "keys": lambda: b"\xdf" + struct.pack(">I", MANY) + b"\xa0\x00" * MANY,
    "a list beside": lambda: b"\x81\xa1a" + array32(MANY) + b"\x90" * MANY,
    "no map": lambda: array32(MANY) + b"\x90" * MANY,
}


@pytest.mark.parametrize("case", COSTLY_MSGPACK)
def test_msgpack_that_the_model_does_not_take_is_refused_cheaply(wire_of: Any, case: str) -> None:
    body = COSTLY_MSGPACK[case]()
    dimensions = 3 if case == "lists of one" else 2
    wire = wire_of(("x", "FP32", (-1,) * dimensions))
    peak, result = peak_of(partial(packed.decode, body, wire))
    assert isinstance(result, (InvalidRequest, BodyTooLarge))
    # A tensor of the shape is made when as many elements are there, whatever they are.
    assert peak <= 5 * len(body) + SLACK_BYTES


def test_lists_of_msgpack_that_the_model_takes_cost_their_tensor(wire_of: Any) -> None:
    values = np.arange(600_000, dtype=np.float64) / 8
    for shape in ([1, 600_000], [600, 1000]):
        for data in (values.tolist(), values.reshape(shape).tolist()):
            body = packed_request(msgpack.packb(data), shape, "FP64")
            wire = wire_of(("x", "FP64", (-1, -1)))
            peak, request = peak_of(partial(packed.decode, body, wire))
            np.testing.assert_array_equal(request.inputs[0], values.reshape(shape))
            assert peak <= request.inputs[0].nbytes + len(body) + SLACK_BYTES


def test_bytes_of_msgpack_are_one_call_however_large(wire_of: Any) -> None:
    raw = np.ones(4 * MIB, "<f4").tobytes()
    body = packed_request(msgpack.packb(raw), [1, 4 * MIB])
    wire = wire_of(("x", "FP32", (-1, -1)))
    assert packed.holds_few_values(body)
    peak, request = peak_of(partial(packed.decode, body, wire))
    assert request.inputs[0].sum() == 4 * MIB
    assert peak <= 2 * len(body)


def test_raw_texts_are_bounded(wire_of: Any) -> None:
    count = 2_000_000
    wire = wire_of(("x", "BYTES", (-1, -1)))
    entry = {
        "name": "x",
        "datatype": "BYTES",
        "shape": [1, count],
        "parameters": {"binary_data_size": 4 * count},
    }
    head = orjson.dumps({"inputs": [entry]})
    body = head + bytes(4 * count)
    peak, result = peak_of(lambda: binary.decode(body, wire, len(head)))
    assert isinstance(result, BodyTooLarge)
    assert peak <= SLACK_BYTES


def test_costly_json_before_tensors_is_refused_cheaply(wire_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1, 1)))
    for case in ("empty lists", "objects in objects", "numbers, too many"):
        body = COSTLY_JSON[case]()
        peak, result = peak_of(partial(binary.decode, body, wire, len(body)))
        assert isinstance(result, (InvalidRequest, BodyTooLarge))
        assert peak <= 3 * len(body) + SLACK_BYTES


@pytest.mark.parametrize("case", ["empty lists", "texts with escapes", "data after data", "keys"])
def test_the_time_is_linear(wire_of: Any, case: str) -> None:
    """Twice the body, about twice the time: far from four times and more."""
    wire = wire_of(("x", "BYTES" if case.startswith("texts") else "FP32", (-1, 1)))
    body = COSTLY_JSON[case]()

    def seconds(one: bytes) -> float:
        began = time.thread_time()
        with pytest.raises((InvalidRequest, BodyTooLarge)):
            json.decode(one, wire)
        return time.thread_time() - began

    small = min(seconds(body[: len(body) // 8]) for _ in range(3))
    assert seconds(body) < 8 * small * 4 + 0.5
