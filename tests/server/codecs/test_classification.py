"""Outputs ranked by the classification extension, in every format."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penstock.runtimes.contract import Column, Signature, TensorSpec
from penstock.server.codecs.classification import classified
from penstock.server.codecs.grpc import GRPC
from penstock.server.codecs.negotiate import JSON, MSGPACK, rows_codec
from penstock.server.codecs.signature import WireSignature
from penstock.server.errors import InvalidRequest
from penstock.server.oip.schema import message

SCORES = np.float32([[0.1, 0.7, 0.2], [0.5, 0.5, np.nan]])
RANKED = [b"0.7:1:dog", b"0.2:2:cow", b"0.5:0:cat", b"0.5:1:dog"]


def make_wire(*, batch: bool = True, labels: tuple[str, ...] = ("cat", "dog", "cow")) -> Any:
    columns = tuple(map(Column, labels))
    outputs = (
        TensorSpec("label", "INT64", (-1,)),
        TensorSpec("scores", "FP32", (-1, 3), columns=columns),
        TensorSpec("text", "BYTES", (-1,)),
    )
    inputs = (TensorSpec("x", "FP32", (-1, 1)),)
    return WireSignature(Signature(inputs, outputs, batch), "pets", "1")


def asked(count: Any = 2, name: str = "scores", rows: int = 2, **more: Any) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [rows, 1], "data": [0.0] * rows}
    wanted = [{"name": "label"}, {"name": name, "parameters": {"classification": count, **more}}]
    return {"inputs": [tensor], "outputs": wanted}


def answered(codec: Any, body: bytes, wire: Any, length: int | None = None) -> bytes:
    request = codec.decode(body, wire, length)
    assert rows_codec(codec, request, wire) is None  # it is encoded alone
    outputs = [np.int64([1, 0]), SCORES]
    described, ranked = classified(wire, request, outputs)
    answer, _ = codec.encode(described, request, ranked)
    return answer if isinstance(answer, bytes) else b"".join(answer)


def test_as_json() -> None:
    wire = make_wire()
    label, scores = orjson.loads(answered(JSON, orjson.dumps(asked()), wire))["outputs"]
    assert label == {"name": "label", "datatype": "INT64", "shape": [2], "data": [1, 0]}
    texts = [one.decode() for one in RANKED]
    assert scores == {"name": "scores", "datatype": "BYTES", "shape": [2, 2], "data": texts}


def test_as_raw_bytes_behind_json() -> None:
    head = orjson.dumps(asked(binary_data=True))
    answer = answered(JSON, head, make_wire(), len(head))
    raw = b"".join(len(one).to_bytes(4, "little") + one for one in RANKED)
    assert answer.endswith(raw)
    assert b'"binary_data_size":%d' % len(raw) in answer


def test_as_msgpack() -> None:
    answer = msgpack.unpackb(answered(MSGPACK, msgpack.packb(asked()), make_wire()))
    assert answer["outputs"][1]["data"] == RANKED
    assert answer["outputs"][1]["shape"] == [2, 2]


@pytest.mark.parametrize("raw", [True, False])
def test_over_grpc(raw: bool) -> None:
    request = message("ModelInferRequest")(model_name="pets")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[2, 1])
    if raw:
        request.raw_input_contents.append(bytes(8))
    else:
        tensor.contents.fp32_contents.extend([0, 0])
    request.outputs.add(name="label")
    request.outputs.add(name="scores").parameters["classification"].int64_param = 2
    body = request.SerializeToString()
    answer = message("ModelInferResponse").FromString(answered(GRPC, body, make_wire()))
    assert [one.datatype for one in answer.outputs] == ["INT64", "BYTES"]
    assert list(answer.outputs[1].shape) == [2, 2]
    if raw:
        expected = b"".join(len(one).to_bytes(4, "little") + one for one in RANKED)
        assert answer.raw_output_contents[1] == expected
    else:
        assert list(answer.outputs[1].contents.bytes_contents) == RANKED


def test_classes_without_names_have_none_and_more_than_there_are_is_all() -> None:
    wire = make_wire(labels=())
    request = JSON.decode(orjson.dumps(asked(9)), wire, None)
    _, (_, scores) = classified(wire, request, [np.int64([1, 0]), SCORES])
    assert scores[0].tolist() == [b"0.7:1", b"0.2:2", b"0.1:0"]
    assert scores.shape == (2, 3)


def test_an_output_of_a_model_without_batches_is_ranked_as_a_whole() -> None:
    wire = make_wire(batch=False)
    request = JSON.decode(orjson.dumps(asked(2)), wire, None)
    _, (_, scores) = classified(wire, request, [np.int64([1, 0]), SCORES])
    assert scores.tolist() == [b"0.7:1", b"0.5:3"]


@pytest.mark.parametrize("count", [0, None])
def test_no_classes_leave_the_output_as_it_is(count: Any) -> None:
    request = JSON.decode(orjson.dumps(asked(count)), make_wire(), None)
    assert request.classes is None


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (asked(-1), "of output 'scores' must be a number of classes as an integer of at least 0"),
        (asked(1.5), "must be a number of classes"),
        (asked(count=True), "must be a number of classes"),
        (asked("2"), "must be a number of classes"),
        (asked(2, "text"), "output 'text' is BYTES: only numbers can be ranked"),
        (asked(40_000), "40000 classes for each of 2 rows; at most 65536"),
    ],
)
def test_what_cannot_be_ranked_is_refused(document: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        JSON.decode(orjson.dumps(document), make_wire(), None)


TABLES = st.sampled_from(["f4", "f8", "i1", "u8"]).flatmap(
    lambda dtype: hnp.arrays(np.dtype(dtype), st.tuples(st.integers(0, 3), st.just(4)))
)


@given(scores=TABLES, count=st.integers(1, 5))
def test_the_order_is_that_of_the_numbers(scores: Any, count: int) -> None:
    wire = make_wire()
    request = JSON.decode(orjson.dumps(asked(count, rows=len(scores))), wire, None)
    _, (_, ranked) = classified(wire, request, [np.zeros(len(scores), np.int64), scores])
    for row, texts in zip(scores, ranked.reshape(len(scores), min(count, 4)), strict=True):
        keys = [(-np.inf if np.isnan(one) else one.item(), -i) for i, one in enumerate(row)]
        best = sorted(range(4), key=keys.__getitem__, reverse=True)[:count]
        found = [text.decode().split(":") for text in texts]
        assert [int(place) for _, place in found] == best
        read = np.array([row.dtype.type(score) for score, _ in found])
        np.testing.assert_array_equal(read, row[best])
