"""Requests and responses of gRPC mean what the same ones mean as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.runtimes.datatypes import NUMPY_OF
from penstock.server.codecs import protobuf
from penstock.server.codecs.messages import InferRequest
from penstock.server.codecs.raw import to_raw
from penstock.server.codecs.typed_contents import CONTENTS, fill_contents
from penstock.server.errors import BodyTooLarge, InvalidRequest
from penstock.server.oip.field_count import (
    Malformed,
    TooManyFields,
    count_fields,
    has_contents,
)
from penstock.server.oip.schema import message

REQUEST, RESPONSE = message("ModelInferRequest"), message("ModelInferResponse")


def request_of(*tensors: tuple[str, str, Any], raw: bool, **fields: Any) -> bytes:
    made = REQUEST(model_name="iris", **fields)
    for name, datatype, array in tensors:
        tensor = made.inputs.add(name=name, datatype=datatype, shape=array.shape)
        if raw:
            made.raw_input_contents.append(bytes(to_raw(array)))
        else:
            fill_contents(tensor.contents, datatype, array)
    body: bytes = made.SerializeToString()
    return body


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("datatype", NUMPY_OF)
@settings(max_examples=20)
@given(data=st.data())
def test_every_tensor_is_read_as_it_was_written(
    wire_of: Any, arrays: Any, datatype: str, raw: bool, data: st.DataObject
) -> None:
    array = data.draw(arrays(datatype))
    wire = wire_of(("x", datatype, tuple(-1 for _ in array.shape)), batch=False)
    body = request_of(("x", datatype, array), raw=raw or datatype not in CONTENTS)
    (read,) = protobuf.decode(body, wire).inputs
    assert read is not None
    assert read.dtype == NUMPY_OF[datatype]
    assert read.shape == array.shape
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("raw", [True, False])
@settings(max_examples=30)
@given(data=st.data())
def test_an_answer_is_written_as_a_whole_and_by_rows_alike(
    wire_of: Any, arrays: Any, raw: bool, data: st.DataObject
) -> None:
    outputs = ("BYTES", "FP32", "INT8")
    rows = data.draw(st.integers(1, 4))
    made = [data.draw(arrays(datatype, rows=rows)) for datatype in outputs]
    shapes = [(-1, *one.shape[1:]) for one in made]
    specs = [(f"of {kind}", kind, shape) for kind, shape in zip(outputs, shapes, strict=True)]
    wire = wire_of(("x", "FP32", (-1,)), outputs=tuple(specs))
    identity = data.draw(st.text(max_size=3))
    body = request_of(("x", "FP32", np.zeros(1, np.float32)), raw=raw, id=identity)
    request = protobuf.decode(body, wire)
    parts = [[one[row : row + 1] for one in made] for row in range(rows)]
    whole = [protobuf.encode(wire, request, part) for part in parts]
    joined = [one if isinstance(one, bytes) else b"".join(one) for one in whole]
    if raw:
        assert protobuf.encode_rows(wire, [request] * rows, made) == joined
    for row, text in enumerate(joined):
        answer = RESPONSE.FromString(text)
        assert (answer.model_name, answer.model_version) == ("iris", "3")
        assert answer.id == (request.id or "")
        for index, (output, array) in enumerate(zip(answer.outputs, made, strict=True)):
            assert list(output.shape) == [1, *array.shape[1:]]
            if raw:
                assert answer.raw_output_contents[index] == bytes(to_raw(array[row : row + 1]))
            else:
                elements = list(getattr(output.contents, CONTENTS[output.datatype]))
                expected = array[row : row + 1].ravel()
                np.testing.assert_array_equal(np.array(elements, array.dtype), expected)


def test_an_output_without_typed_contents_makes_the_answer_raw(wire_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1,)), outputs=(("y", "FP16", (-1,)),))
    request = protobuf.decode(request_of(("x", "FP32", np.zeros(1, np.float32)), raw=False), wire)
    answer = protobuf.encode(wire, request, [np.float16([1.5])])
    assert RESPONSE.FromString(b"".join(answer)).raw_output_contents[0] == np.float16(1.5).tobytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r.inputs[0].contents.fp32_contents.append(1), "fp32_contents has 3"),
        (lambda r: r.inputs[0].contents.fp64_contents.append(1), "expected in fp32_contents"),
        (lambda r: r.inputs[0].ClearField("contents"), "needs 2 elements, fp32_contents has 0"),
        (lambda r: r.raw_input_contents.append(b"12345678"), "has both 'contents' and an entry"),
        (lambda r: r.raw_input_contents.extend([b"", b""]), "has 2 entries, expected one"),
        (lambda r: r.inputs[0].shape.append(3), "has shape [1, 2, 3], expected [-1, 2]"),
        (lambda r: r.inputs[0].shape.__setitem__(0, -1), "must be integers of at least 0, not -1"),
        (lambda r: r.ClearField("inputs"), "missing input 'x'"),
        (lambda r: r.parameters["triton_x"].SetInParent(), "reserved"),
    ],
)
def test_what_is_wrong_is_said(wire_of: Any, change: Any, said: str) -> None:
    wire = wire_of(("x", "FP32", (-1, 2)))
    request = REQUEST.FromString(request_of(("x", "FP32", np.zeros((1, 2), np.float32)), raw=False))
    change(request)
    with pytest.raises(InvalidRequest) as caught:
        protobuf.decode(request.SerializeToString(), wire)
    assert said in caught.value.message


@pytest.mark.parametrize("value", [-129, 128, 2**31 - 1])
def test_a_number_out_of_range_is_named(wire_of: Any, value: int) -> None:
    wire = wire_of(("x", "INT8", (-1,)))
    made = REQUEST(model_name="iris")
    tensor = made.inputs.add(name="x", datatype="INT8", shape=[3])
    tensor.contents.int_contents.extend([1, value, 2])
    with pytest.raises(InvalidRequest, match=f"element 1 is {value}, outside the range of INT8"):
        protobuf.decode(made.SerializeToString(), wire)


def test_an_answer_keeps_its_form_whatever_binary_parameters_say(wire_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1,)))
    for raw in (True, False):
        plain = request_of(("x", "FP32", np.zeros(1, np.float32)), raw=raw)
        asked = REQUEST.FromString(plain)
        asked.parameters["binary_data_output"].bool_param = True
        requests = [protobuf.decode(one, wire) for one in (plain, asked.SerializeToString())]
        assert requests[0].binary_outputs == requests[1].binary_outputs
        assert {one.plain for one in requests} == {raw}
        assert not any(one.plain_binary for one in requests)


def test_fields_are_counted_at_every_depth_and_counting_stops() -> None:
    made = REQUEST(model_name="iris", id="1")
    made.parameters["timeout"].int64_param = 5
    for index in range(3):
        tensor = made.inputs.add(name=f"x{index}", datatype="FP32", shape=[1])
        tensor.parameters["a"].bool_param = True
    body = made.SerializeToString()
    parameter = 4  # the entry, its key, its value, and the number in that
    assert count_fields(body, 1000) == 2 + parameter + 3 * (1 + 3 + parameter)
    with pytest.raises(TooManyFields):
        count_fields(body, 25)
    assert not has_contents(body, 100)
    made.inputs[2].contents.fp32_contents.append(1)
    assert has_contents(made.SerializeToString(), 100)
    assert has_contents(body, 3)  # it does not look further


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_refused(body: bytes) -> None:
    for look in (count_fields, has_contents):
        try:
            look(body, 50)
        except (Malformed, TooManyFields):
            continue


def test_a_large_request_of_many_fields_is_refused(wire_of: Any) -> None:
    with pytest.raises(BodyTooLarge, match="more than 65536 fields"):
        protobuf.decode(100_000 * b"\x2a\x00", wire_of(("x", "FP32", (-1,))))


def test_a_request_is_one_of_the_shared_kind(wire_of: Any) -> None:
    request = protobuf.decode(
        request_of(("x", "FP32", np.zeros(1, np.float32)), raw=True), wire_of(("x", "FP32", (-1,)))
    )
    assert type(request) is InferRequest
    assert request.rows == 1
