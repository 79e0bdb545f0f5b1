from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.runtimes.datatypes import NUMPY_OF
from penstock.server.codecs import json
from penstock.server.codecs.messages import InferRequest
from penstock.server.errors import InvalidRequest


@pytest.fixture
def wire(wire_of: Any) -> Any:
    return wire_of(("x", "FP32", (-1, 2)))


def answer(wire: Any, **options: Any) -> InferRequest:
    return InferRequest([None], 1, options.pop("outputs", wire.all_outputs), **options)


OUTPUTS = [np.array([1]), np.array([[0.25, 0.75]], np.float32)]


def test_a_response_in_full(wire: Any) -> None:
    assert json.encode(wire, answer(wire, id='a"b'), OUTPUTS) == (
        b'{"model_name":"iris","model_version":"3","id":"a\\"b","outputs":['
        b'{"name":"label","datatype":"INT64","shape":[1],"data":[1]},'
        b'{"name":"probabilities","datatype":"FP32","shape":[1,2],"data":[0.25,0.75]}]}'
    )


def test_outputs_come_in_the_order_asked_for(wire: Any) -> None:
    request = answer(wire, response_order=(1, 0))
    for _ in range(2):  # the second time from memory
        names = [o["name"] for o in orjson.loads(json.encode(wire, request, OUTPUTS))["outputs"]]
        assert names == ["probabilities", "label"]
    one = answer(wire, outputs=("probabilities",))
    (output,) = orjson.loads(json.encode(wire, one, OUTPUTS[1:]))["outputs"]
    assert output["data"] == [0.25, 0.75]
    in_order = orjson.loads(json.encode(wire, answer(wire), OUTPUTS))["outputs"]
    assert [o["name"] for o in in_order] == ["label", "probabilities"]


def test_nan_and_infinity_are_null(wire: Any) -> None:
    outputs = [OUTPUTS[0], np.array([[math.nan, -math.inf]], np.float32)]
    body = orjson.loads(json.encode(wire, answer(wire), outputs))
    assert body["outputs"][1]["data"] == [None, None]


def test_bytes_must_be_utf8(wire_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1,)), outputs=(("text", "BYTES", (-1,)),))
    good = np.array(["é".encode(), b""], np.object_)
    request = answer(wire)
    assert orjson.loads(json.encode(wire, request, [good]))["outputs"][0]["data"] == ["é", ""]
    bad = np.array([b"a", b"\xff", b"b"], np.object_)
    with pytest.raises(InvalidRequest, match=r"output 'text' is not UTF-8 .*binary_data"):
        json.encode(wire, request, [bad])
    with pytest.raises(InvalidRequest, match="output 'text' is not UTF-8"):
        json.encode_rows(wire, [request] * 3, [bad])


def test_percent_signs_in_names_are_only_characters(wire_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1,)), outputs=(("100%b %s", "INT64", (-1,)),))
    bodies = json.encode_rows(wire, [answer(wire)] * 3, [np.arange(3)])
    assert [orjson.loads(body)["outputs"][0]["data"] for body in bodies] == [[0], [1], [2]]
    assert bodies[1] == json.encode(wire, answer(wire), [np.array([1])])


def test_memory_of_shapes_is_bounded(wire: Any) -> None:
    for rows in range(200):
        outputs = [np.zeros(rows, np.int64), np.zeros((rows, 2), np.float32)]
        body = orjson.loads(json.encode(wire, answer(wire), outputs))
        assert [o["shape"] for o in body["outputs"]] == [[rows], [rows, 2]]
    assert len(wire.templates) <= 64
    assert len(wire.outputs["label"].heads) <= 64


def test_no_rows_make_no_bodies(wire: Any) -> None:
    assert json.encode_rows(wire, [], [np.zeros(0, np.int64), np.zeros((0, 2), np.float32)]) == []


@given(data=st.data(), rows=st.integers(1, 6), names=st.lists(st.sampled_from(sorted(NUMPY_OF))))
def test_rows_of_a_batch_are_encoded_as_if_alone(
    wire_of: Any, arrays: Any, data: st.DataObject, rows: int, names: list[str]
) -> None:
    specs = tuple((f"o{i}", name, (-1,)) for i, name in enumerate(names or ["FP32"]))
    wire = wire_of(("x", "FP32", (-1, 2)), outputs=specs)
    batch = []
    for _, name, _ in specs:
        array = data.draw(arrays(name, rows=rows))
        if name == "BYTES":
            array = np.frompyfunc(lambda e: e.hex().encode(), 1, 1)(array).astype(np.object_)
        batch.append(array)
    ids = data.draw(st.lists(st.none() | st.text(max_size=3), min_size=rows, max_size=rows))
    requests = [answer(wire, id=identity) for identity in ids]
    alone = [
        json.encode(wire, request, [array[row : row + 1] for array in batch])
        for row, request in enumerate(requests)
    ]
    assert json.encode_rows(wire, requests, batch) == alone


@given(data=st.data(), datatype=st.sampled_from(sorted(NUMPY_OF)))
def test_what_is_encoded_can_be_decoded(
    wire_of: Any, arrays: Any, data: st.DataObject, datatype: str
) -> None:
    array = data.draw(arrays(datatype))
    if datatype == "BYTES":
        array = np.frompyfunc(lambda e: e.hex().encode(), 1, 1)(array)
        array = np.asarray(array, np.object_)
    elif array.dtype.kind == "f":
        array = np.where(np.isfinite(array), array, array.dtype.type(0)).astype(array.dtype)
    spec = ("t", datatype, (-1,) * array.ndim)
    wire = wire_of(spec, outputs=(spec,), batch=False)
    body = orjson.loads(json.encode(wire, answer(wire), [array]))
    back = json.decode(orjson.dumps({"inputs": body["outputs"]}), wire).inputs[0]
    assert back is not None
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert np.array_equal(back, array)
    nested = {**body["outputs"][0], "data": array.tolist()}
    if datatype != "BYTES":
        again = json.decode(orjson.dumps({"inputs": [nested]}), wire).inputs[0]
        assert np.array_equal(again, array)
