"""Cost of the wire formats, by number of FP32 elements in one row."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import orjson
import pytest

from penstock.runtimes.contract import Signature, TensorSpec
from penstock.server.codecs import numbers
from penstock.server.codecs.messages import InferRequest
from penstock.server.codecs.negotiate import JSON, MSGPACK
from penstock.server.codecs.signature import WireSignature

SIZES = [30, 1000, 4096, 150_528]
KINDS = ["json", "json-without-simdjson", "binary", "msgpack"]


def wire_of(*outputs: TensorSpec, size: int = 30) -> WireSignature:
    inputs = (TensorSpec("input", "FP32", (-1, size)),)
    return WireSignature(Signature(inputs, outputs, batch_axis=True), "model", "1")


def values(rows: int, columns: int) -> Any:
    numbers = np.random.default_rng(0).standard_normal((rows, columns))
    return numbers.astype(np.float32)


def request_of(kind: str, size: int) -> tuple[bytes, int | None]:
    array = values(1, size)
    entry: dict[str, Any] = {"name": "input", "shape": [1, size], "datatype": "FP32"}
    if kind == "msgpack":
        return msgpack.packb({"inputs": [{**entry, "data": array.tobytes()}]}), None
    if kind == "binary":
        parameters = {"binary_data_size": array.nbytes}
        text = orjson.dumps({"inputs": [{**entry, "parameters": parameters}]})
        return text + array.tobytes(), len(text)
    entry["data"] = array
    return orjson.dumps({"inputs": [entry]}, None, orjson.OPT_SERIALIZE_NUMPY), None


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_decode(benchmark: Any, monkeypatch: Any, kind: str, size: int) -> None:
    wire = wire_of(TensorSpec("y", "FP32", (-1, 2)), size=size)
    body, json_length = request_of(kind, size)
    codec = MSGPACK if kind == "msgpack" else JSON
    if kind == "json-without-simdjson":
        monkeypatch.setattr(numbers, "AVAILABLE", False)
    request = benchmark(codec.decode, body, wire, json_length)
    assert np.array_equal(request.inputs[0], values(1, size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["json", "binary", "msgpack"])
def test_encode(benchmark: Any, kind: str, size: int) -> None:
    wire = wire_of(TensorSpec("y", "FP32", (-1, size)))
    binary = frozenset({"y"}) if kind == "binary" else None
    request = InferRequest([None], 1, wire.all_outputs, binary_outputs=binary)
    codec = MSGPACK if kind == "msgpack" else JSON
    body, _ = benchmark(codec.encode, wire, request, [values(1, size)])
    assert body


CLASSIFIER = (TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 2)))


@pytest.mark.parametrize("kind", ["json", "msgpack"])
def test_encode_a_classification(benchmark: Any, kind: str) -> None:
    wire = wire_of(*CLASSIFIER)
    request = InferRequest([None], 1, wire.all_outputs)
    codec = MSGPACK if kind == "msgpack" else JSON
    body, _ = benchmark(codec.encode, wire, request, [np.array([1]), values(1, 2)])
    assert body


@pytest.mark.parametrize("kind", ["json", "msgpack"])
@pytest.mark.parametrize("rows", [1, 8, 32, 64])
def test_encode_rows_of_classifications(benchmark: Any, kind: str, rows: int) -> None:
    wire = wire_of(*CLASSIFIER)
    requests = [InferRequest([None], 1, wire.all_outputs)] * rows
    codec = MSGPACK if kind == "msgpack" else JSON
    bodies, _ = benchmark(codec.encode_rows, wire, requests, [np.arange(rows), values(rows, 2)])
    assert len(bodies) == rows
