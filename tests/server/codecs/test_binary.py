from __future__ import annotations

import struct
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.runtimes.datatypes import NUMPY_OF
from penstock.server.codecs import binary
from penstock.server.codecs.messages import InferRequest
from penstock.server.codecs.raw import MIN_VIEW_BYTES
from penstock.server.errors import InvalidRequest


def announce(shape: list[int], size: Any, datatype: str = "FP32", name: str = "x") -> Any:
    parameters = {"binary_data_size": size}
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": parameters}


def request_body(*inputs: Any, tensors: bytes = b"", **extras: Any) -> tuple[bytes, int]:
    text = orjson.dumps({"inputs": list(inputs), **extras})
    return text + tensors, len(text)


@pytest.fixture
def wire(wire_of: Any) -> Any:
    return wire_of(("x", "FP32", (-1, 2)))


ROW = struct.pack("<2f", 1, 2.5)


def test_tensors_follow_the_json(wire: Any) -> None:
    body, length = request_body(announce([1, 2], 8), tensors=ROW, id="7")
    request = binary.decode(body, wire, length)
    assert request.inputs[0].tolist() == [[1, 2.5]]  # type: ignore[union-attr]
    assert request.id == "7"


@pytest.mark.parametrize("padding", range(8))
def test_aligned_tensors_are_not_copied_and_others_are_aligned(wire: Any, padding: int) -> None:
    body, length = request_body(announce([1, 2], 8), tensors=ROW, id=" " * padding)
    array = binary.decode(body, wire, length).inputs[0]
    assert array is not None
    assert array.flags.aligned
    assert array.flags.c_contiguous
    start = np.frombuffer(body, np.uint8).__array_interface__["data"][0] + length
    shared = array.__array_interface__["data"][0] == start
    assert shared == (start % 4 == 0)


def test_json_and_binary_inputs_mix(wire_of: Any, tensor: Any) -> None:
    wire = wire_of(("a", "INT64", (-1,)), ("b", "FP32", (-1,)), ("c", "BYTES", (-1,)))
    body, length = request_body(
        announce([2], 5 + 4, "BYTES", "c"),
        tensor([5, 6], [2], "INT64", "a"),
        announce([2], 8, "FP32", "b"),
        tensors=b"\1\0\0\0\xff" + b"\0\0\0\0" + ROW,
    )
    a, b, c = binary.decode(body, wire, length).inputs
    assert a is not None
    assert b is not None
    assert c is not None
    assert (a.tolist(), b.tolist(), c.tolist()) == ([5, 6], [1, 2.5], [b"\xff", b""])


@pytest.mark.parametrize(
    ("entry", "tensors", "message"),
    [
        (announce([1, 2], 8), ROW[:4], "binary_data_size is 8, but only 4 bytes"),
        (announce([1, 2], 8), ROW + b"1", "1 bytes are left after the last input"),
        (announce([1, 2], 7), ROW, r"FP32 of shape \[1, 2\] takes 8 bytes, got 7"),
        (announce([2, 2], 8), ROW, r"FP32 of shape \[2, 2\] takes 16 bytes, got 8"),
        (announce([1, 2], "8"), ROW, "binary_data_size must be a number of bytes, not '8'"),
        (announce([1, 2], -8), ROW, "binary_data_size must be a number of bytes, not -8"),
        (announce([1, 2], size=True), ROW, "binary_data_size must be a number of bytes, not true"),
        ({**announce([1, 2], 8), "data": [1, 2]}, ROW, "both 'data' and binary_data_size"),
        ({**announce([1, 2], 8), "parameters": 8}, ROW, "'parameters' of input 'x' must be an"),
        ({**announce([1, 2], 8), "parameters": {}}, ROW, "input 'x' has no 'data'"),
    ],
)
def test_sizes_must_add_up(wire: Any, entry: Any, tensors: bytes, message: str) -> None:
    body, length = request_body(entry, tensors=tensors)
    with pytest.raises(InvalidRequest, match=message):
        binary.decode(body, wire, length)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\1\0\0\0a",
        b"\1\0\0\0a\1\0\0",
        b"\1\0\0\0a\2\0\0\0b",
        b"\xff\xff\xff\xffab",
        b"\1\0\0\0a\1\0\0\0b\0",
        b"\0\0\0\0" * 3,
    ],
)
def test_broken_byte_strings(wire_of: Any, raw: bytes) -> None:
    wire = wire_of(("x", "BYTES", (-1,)))
    body, length = request_body(announce([2], len(raw), "BYTES"), tensors=raw)
    with pytest.raises(
        InvalidRequest, match=r"shape \[2\] takes 2 elements, each after its length"
    ):
        binary.decode(body, wire, length)


def test_the_header_must_fit_the_body(wire: Any) -> None:
    body, length = request_body(announce([1, 2], 8), tensors=ROW)
    with pytest.raises(InvalidRequest, match=f"is 1000, the body has {len(body)} bytes"):
        binary.decode(body, wire, 1000)
    with pytest.raises(InvalidRequest, match="is -1, the body"):
        binary.decode(body, wire, -1)
    with pytest.raises(InvalidRequest, match="not valid JSON"):
        binary.decode(body, wire, length - 1)


def test_any_nonzero_byte_is_true(wire_of: Any) -> None:
    for shape, given_ in (((-1,), [3]), ((), [])):
        wire = wire_of(("x", "BOOL", shape), batch=False)
        raw = b"\0\1\xfe"[-max(1, sum(given_)) :]
        body, length = request_body(announce(given_, len(raw), "BOOL"), tensors=raw)
        array = binary.decode(body, wire, length).inputs[0]
        assert array is not None
        assert array.view(np.uint8).ravel().tolist() == [0, 1, 1][-len(raw) :]


def test_tensors_of_size_zero(wire: Any) -> None:
    body, length = request_body(announce([0, 2], 0))
    request = binary.decode(body, wire, length)
    assert request.rows == 0
    assert request.inputs[0].shape == (0, 2)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("spec", "body", "shape"),
    [
        (("x", "FP32", (-1, 2)), ROW, (1, 2)),
        (("x", "FP32", (-1, -1)), ROW, (1, 2)),
        (("x", "FP32", (-1, 0, -1)), b"", (1, 0, 0)),
        (("x", "BYTES", (-1,)), b"\xffabc", (1,)),
        (("x", "BYTES", (-1, -1)), b"", (1, 1)),
    ],
)
def test_a_body_may_be_one_tensor_alone(
    wire_of: Any, spec: Any, body: bytes, shape: tuple[int, ...]
) -> None:
    wire = wire_of(spec)
    request = binary.decode(body, wire, 0)
    array = request.inputs[0]
    assert array is not None
    assert array.shape == shape
    assert request.rows == 1
    assert request.binary_outputs == set(wire.all_outputs)
    assert (request.key is None) == wire.static
    if spec[1] == "BYTES":
        assert array.ravel().tolist() == [body]


@pytest.mark.parametrize(
    ("specs", "body", "message"),
    [
        ([("x", "FP32", (-1, 2))], b"1234", r"shape \[1, 2\] takes 8 bytes, got 4"),
        ([("x", "FP32", (-1, -1))], b"12345", r"shape \[1, 1\] takes 4 bytes, got 5"),
        ([("x", "FP32", (-1, -1, -1))], ROW, "several open dimensions"),
        ([("x", "FP32", (-1,)), ("y", "FP32", (-1,))], ROW, "models of one input; this one has 2"),
        ([("x", "BYTES", (-1, 2))], b"a", "takes 2 elements"),
    ],
)
def test_one_tensor_alone_that_does_not_fit(
    wire_of: Any, specs: Any, body: bytes, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        binary.decode(body, wire_of(*specs), 0)


def test_a_response_in_full(wire: Any) -> None:
    request = InferRequest(
        [None], 1, wire.all_outputs, id="7", binary_outputs=frozenset({"probabilities"})
    )
    outputs = [np.array([1]), np.array([[0.25, 0.75]], np.float32)]
    pieces, length = binary.encode(wire, request, outputs)
    assert len(pieces[0]) == length
    assert b"".join(pieces) == (
        b'{"model_name":"iris","model_version":"3","id":"7","outputs":['
        b'{"name":"label","datatype":"INT64","shape":[1],"data":[1]},'
        b'{"name":"probabilities","datatype":"FP32","shape":[1,2],'
        b'"parameters":{"binary_data_size":8}}]}' + struct.pack("<2f", 0.25, 0.75)
    )


def test_large_outputs_are_not_copied(wire_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1,)), outputs=(("y", "FP32", (-1, 2)),))
    array = np.zeros((MIN_VIEW_BYTES // 8, 2), np.float32)
    request = InferRequest([None], 1, wire.all_outputs, binary_outputs=frozenset({"y"}))
    (_, piece), _ = binary.encode(wire, request, [array])
    assert np.shares_memory(np.frombuffer(piece, np.uint8), array)
    assert len(piece) == array.nbytes


@given(data=st.data(), datatypes=st.lists(st.sampled_from(sorted(NUMPY_OF)), max_size=3))
def test_what_is_encoded_can_be_decoded(
    wire_of: Any, arrays: Any, data: st.DataObject, datatypes: list[str]
) -> None:
    outputs = [data.draw(arrays(datatype)) for datatype in datatypes]
    specs = tuple(
        (f"t{index}", datatype, (-1,) * array.ndim)
        for index, (datatype, array) in enumerate(zip(datatypes, outputs, strict=True))
    ) or (("t", "FP32", ()),)
    outputs = outputs or [np.array(1.5, np.float32)]
    wire = wire_of(*specs, outputs=specs, batch=False)
    order = tuple(data.draw(st.permutations(range(len(outputs)))))
    request = InferRequest(
        [None],
        1,
        wire.all_outputs,
        response_order=order,
        binary_outputs=frozenset(wire.all_outputs),
    )
    pieces, length = binary.encode(wire, request, outputs)
    document = orjson.loads(pieces[0])
    assert [o["name"] for o in document["outputs"]] == [wire.all_outputs[i] for i in order]
    text = orjson.dumps({"inputs": document["outputs"]})
    back = binary.decode(text + b"".join(pieces[1:]), wire, len(text))
    for array, again in zip(outputs, back.inputs, strict=True):
        assert again is not None
        assert (again.dtype, again.shape) == (array.dtype, array.shape)
        assert again.tolist() == array.tolist() or again.tobytes() == array.tobytes()
    assert length == len(pieces[0])
