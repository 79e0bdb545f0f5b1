"""Whatever arrives, a decoder answers with a request or with an `ApiError`."""

from __future__ import annotations

from typing import Any

import msgpack
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.codecs.messages import InferRequest
from penstock.server.codecs.negotiate import JSON, MSGPACK
from penstock.server.errors import ApiError

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.sampled_from([0, 1, 2, 2**40])
    | st.floats()
    | st.sampled_from(["x", "y", "label", "FP32", "INT64", "BYTES", "", "data", "\1", "é"]),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(
            st.sampled_from(["name", "shape", "datatype", "data", "parameters", "inputs", "id"])
            | st.sampled_from(
                ["outputs", "binary_data_size", "timeout", "binary_data", "priority"]
            ),
            children,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@st.composite
def almost_valid(draw: st.DrawFn) -> Any:
    """A valid request with one or two values replaced by junk."""
    document: Any = {
        "id": "1",
        "parameters": {"timeout": 1, "binary_data_output": False},
        "inputs": [
            {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]},
            {"name": "y", "shape": [1], "datatype": "BYTES", "data": ["a"]},
            {"name": "z", "shape": [1, 1, 3], "datatype": "INT8", "data": [[[1, 2, 3]]]},
        ],
        "outputs": [{"name": "label", "parameters": {"binary_data": False}}],
    }
    for _ in range(draw(st.integers(1, 2))):
        holder = document
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(holder[key], (dict, list)) and draw(st.booleans()):
                holder = holder[key]
                continue
            holder[key] = draw(JUNK)
            break
    return document


@pytest.fixture(scope="module")
def wire(wire_of: Any) -> Any:
    return wire_of(("x", "FP32", (-1, 2)), ("y", "BYTES", (-1,)), ("z", "INT8", (-1, -1, -1), True))


def survives(codec: Any, body: bytes, wire: Any, json_length: int | None = None) -> None:
    try:
        request = codec.decode(body, wire, json_length)
    except ApiError as error:
        refusal: ApiError = error
    else:
        well_formed(request, wire)
        return
    assert 400 <= refusal.status < 500
    assert len(refusal.message) < 1000


def well_formed(request: InferRequest, wire: Any) -> None:
    assert isinstance(request, InferRequest)
    for spec, array in zip(wire.inputs.values(), request.inputs, strict=True):
        if array is None:
            assert spec.optional
            continue
        assert array.dtype == spec.dtype
        assert array.flags.c_contiguous
        assert not wire.batch_axis or array.shape[0] == request.rows


@given(body=st.binary(), length=st.none() | st.integers(-1, 30))
def test_arbitrary_bytes(wire: Any, body: bytes, length: int | None) -> None:
    survives(JSON, body, wire, length)
    survives(MSGPACK, body, wire)


@given(document=JUNK | almost_valid(), tensors=st.binary(max_size=12))
def test_arbitrary_documents(wire: Any, document: Any, tensors: bytes) -> None:
    text = orjson.dumps(document)
    survives(JSON, text, wire)
    survives(JSON, text + tensors, wire, len(text))
    survives(MSGPACK, msgpack.packb(document), wire)


@given(document=almost_valid(), data=st.data())
def test_mutated_bytes(wire: Any, document: Any, data: st.DataObject) -> None:
    for codec, body in ((JSON, orjson.dumps(document)), (MSGPACK, msgpack.packb(document))):
        mutated = bytearray(body)
        for _ in range(data.draw(st.integers(1, 3))):
            place = data.draw(st.integers(0, len(mutated)))
            mutated[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        survives(codec, bytes(mutated), wire)


@given(body=st.binary(max_size=20), shape=st.lists(st.integers(-1, 3), max_size=3))
def test_arbitrary_tensors_alone(wire_of: Any, body: bytes, shape: list[int]) -> None:
    for datatype in ("FP32", "BYTES", "BOOL", "INT64"):
        batch = bool(shape) and shape[0] == -1
        survives(JSON, body, wire_of(("x", datatype, tuple(shape)), batch=batch), 0)
