from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.server.codecs import json
from penstock.server.errors import InvalidRequest


@pytest.fixture
def wire(wire_of: Any) -> Any:
    return wire_of(("x", "FP32", (-1, 2)))


def test_a_request_becomes_arrays_in_signature_order(
    wire_of: Any, tensor: Any, body_of: Any
) -> None:
    wire = wire_of(("a", "INT64", (-1,)), ("b", "FP32", (-1, 2)))
    body = body_of(
        tensor([[1, 2.5], [3, 4]], [2, 2], name="b"), tensor([7, 8], [2], "INT64", name="a")
    )
    request = json.decode(body, wire)
    first, second = request.inputs
    assert first is not None
    assert second is not None
    assert (first.dtype, first.tolist()) == (np.int64, [7, 8])
    assert (second.dtype, second.tolist()) == (np.float32, [[1, 2.5], [3, 4]])
    assert first.flags.c_contiguous
    assert request.rows == 2
    assert request.outputs is wire.all_outputs
    assert request.key is None
    assert request.plain is False
    assert (request.id, request.binary_outputs, request.timeout_microseconds) == (None, None, None)


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]]])
def test_data_may_be_flat_or_nested(wire: Any, tensor: Any, body_of: Any, data: Any) -> None:
    request = json.decode(body_of(tensor(data, [2, 2])), wire)
    assert request.inputs[0].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("shape", "given", "data"),
    [
        ((), [], 5),
        ((), [], [5]),
        ((-1,), [1], [5]),
        ((-1, 1), [1, 1], [[5]]),
        ((-1, 1), [1, 1], [5]),
        ((-1, 1, 1), [1, 1, 1], [[[5]]]),
    ],
)
def test_scalars(
    wire_of: Any, tensor: Any, body_of: Any, shape: Any, given: Any, data: Any
) -> None:
    wire = wire_of(("x", "FP32", shape), batch=bool(shape))
    array = json.decode(body_of(tensor(data, given)), wire).inputs[0]
    assert array.shape == tuple(given)
    assert array.ravel().tolist() == [5]


@pytest.mark.parametrize(
    ("given", "data"),
    [([0, 2], []), ([2, 0], [[], []]), ([2, 0], []), ([0, 0], [])],
)
def test_tensors_without_elements(
    wire_of: Any, tensor: Any, body_of: Any, given: Any, data: Any
) -> None:
    wire = wire_of(("x", "FP32", (-1, -1)))
    request = json.decode(body_of(tensor(data, given)), wire)
    assert request.inputs[0].shape == tuple(given)
    assert request.rows == given[0]


@pytest.mark.parametrize("given", [[0, 2**40, 2**40], [2**17, 0, 1], [2**40, 1, 0]])
@pytest.mark.parametrize("datatype", ["FP32", "BOOL", "BYTES"])
def test_tensors_without_elements_are_bounded(
    wire_of: Any, tensor: Any, body_of: Any, given: Any, datatype: str
) -> None:
    wire = wire_of(("x", datatype, (-1, -1, -1)))
    with pytest.raises(InvalidRequest, match="may multiply to 65536 at most"):
        json.decode(body_of(tensor([], given, datatype)), wire)


@pytest.mark.parametrize("given", [[2**40, 2**40, 2**40], [1, 2, 2**40]])
def test_huge_shapes_need_huge_data(wire_of: Any, tensor: Any, body_of: Any, given: Any) -> None:
    wire = wire_of(("x", "FP32", (-1, -1, -1)))
    for data in ([], [1], [[]]):
        with pytest.raises(InvalidRequest, match="input 'x': "):
            json.decode(body_of(tensor(data, given)), wire)


@pytest.mark.parametrize(
    ("datatype", "data", "expected"),
    [
        ("INT64", [1.0, True, -3], [1, 1, -3]),
        ("UINT8", [0, 255, 2.0], [0, 255, 2]),
        ("UINT64", [2**64 - 1, 0, 1], [2**64 - 1, 0, 1]),
        ("INT64", [-(2**63), 2**63 - 1, 0], [-(2**63), 2**63 - 1, 0]),
        ("FP16", [0.5, 1, 65504], [0.5, 1, 65504]),
        ("FP64", [0.1, 1, 1e300], [0.1, 1, 1e300]),
        ("BOOL", [True, False, 1], [True, False, True]),
        ("BYTES", ["a", "", "é"], [b"a", b"", "é".encode()]),
    ],
)
def test_harmless_spellings_are_taken(
    wire_of: Any, tensor: Any, body_of: Any, datatype: str, data: Any, expected: Any
) -> None:
    wire = wire_of(("x", datatype, (-1,)))
    array = json.decode(body_of(tensor(data, [3], datatype)), wire).inputs[0]
    assert array.tolist() == expected
    assert array.dtype == wire.inputs["x"].dtype


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_null_is_nan_for_floats(wire_of: Any, tensor: Any, body_of: Any, datatype: str) -> None:
    wire = wire_of(("x", datatype, (-1,)))
    array = json.decode(body_of(tensor([None, 1.5], [2], datatype)), wire).inputs[0]
    assert np.array_equal(array, np.array([np.nan, 1.5]), equal_nan=True)


def test_optional_inputs_may_be_left_out(wire_of: Any, tensor: Any, body_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1,)), ("mask", "BOOL", (-1,), True))
    request = json.decode(body_of(tensor([1], [1])), wire)
    assert request.inputs[1] is None
    other = json.decode(body_of(tensor([1], [1]), tensor([True], [1], "BOOL", name="mask")), wire)
    assert request.key != other.key


def test_requests_of_other_shapes_have_other_keys(wire_of: Any, tensor: Any, body_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1, -1)))
    keys = [
        json.decode(body_of(tensor([0] * rows * columns, [rows, columns])), wire).key
        for rows, columns in ((1, 2), (2, 2), (1, 3))
    ]
    assert keys[0] == keys[1] != keys[2]
    assert len({hash(key) for key in keys}) == 2


def test_outputs_parameters_and_id_are_read(wire: Any, tensor: Any, body_of: Any) -> None:
    request = json.decode(
        body_of(
            tensor([1, 2], [1, 2]),
            id="é",
            parameters={"timeout": 5000, "priority": 2, "anything": "else"},
            outputs=[
                {"name": "probabilities", "parameters": {"binary_data": True}},
                {"name": "label"},
            ],
        ),
        wire,
    )
    assert request.id == "é"
    assert request.outputs is wire.all_outputs
    assert request.response_order == (1, 0)
    assert request.binary_outputs == {"probabilities"}
    assert (request.timeout_microseconds, request.priority) == (5000, 2)
    assert request.key is None


def test_some_outputs_keep_signature_order_and_get_a_key(
    wire: Any, tensor: Any, body_of: Any
) -> None:
    body = body_of(tensor([1, 2], [1, 2]), outputs=[{"name": "probabilities"}])
    request = json.decode(body, wire)
    assert request.outputs == ("probabilities",)
    assert request.response_order is None
    assert request.key is not None


def test_an_output_overrides_the_request_on_binary_data(
    wire: Any, tensor: Any, body_of: Any
) -> None:
    outputs = [{"name": "label", "parameters": {"binary_data": False}}, {"name": "probabilities"}]
    parameters = {"binary_data_output": True}
    x = tensor([1, 2], [1, 2])
    asked = json.decode(body_of(x, outputs=outputs, parameters=parameters), wire)
    everything = json.decode(body_of(x, parameters=parameters, outputs=[]), wire)
    assert asked.binary_outputs == {"probabilities"}
    assert everything.binary_outputs == {"label", "probabilities"}
    assert everything.outputs is wire.all_outputs


def test_null_extras_are_absent(wire: Any, tensor: Any, body_of: Any) -> None:
    x = {**tensor([1, 2], [1, 2]), "parameters": None}
    request = json.decode(body_of(x, id=None, parameters=None, outputs=None), wire)
    assert request.plain


INVALID: list[tuple[bytes, str]] = [
    (b"", "the body is not valid JSON"),
    (b'{"inputs":', r"not valid JSON: .*line 1 column 11 \(char 10\)"),
    (b'{"inputs":[NaN]}', "JSON has no NaN and no infinity: send null for NaN, or binary data"),
    (b'{"inputs":[-Infinity]}', "JSON has no NaN and no infinity"),
    (b"[" * 5000, "not valid JSON"),
    (b'"\xff"', "not valid JSON"),
    (b"[]", "the body must be an object with 'inputs', not a list"),
    (b"null", "the body must be an object with 'inputs', not null"),
    (b"{}", r"the request has no 'inputs'; expected inputs 'x' FP32\[-1, 2\]"),
    (b'{"inputs":{}}', "has 'inputs' that are not a list"),
    (b'{"inputs":[]}', r"missing input 'x'; expected inputs 'x' FP32\[-1, 2\]"),
    (b'{"inputs":[3]}', "each of 'inputs' must be an object, not 3"),
    (b'{"inputs":[{}]}', "an input has no 'name'; expected inputs 'x'"),
    (b'{"inputs":[{"name":["x"]}]}', "unknown input a list"),
    (b'{"inputs":[{"name":"y"}]}', r"unknown input 'y'; expected inputs 'x' FP32\[-1, 2\]"),
    (b'{"inputs":[{"name":"x"}]}', '\'x\' must have "datatype":"FP32", not null'),
    (b'{"inputs":[{"name":"x","datatype":"fp32","shape":[1,2]}]}', "\"FP32\", not 'fp32'"),
    (b'{"inputs":[{"name":"x","datatype":"FP32"}]}', r"no 'shape'; expected \[-1, 2\]"),
    (b'{"inputs":[{"name":"x","datatype":"FP32","shape":2}]}', "'shape' that is not a list"),
]


@pytest.mark.parametrize(("body", "message"), INVALID)
def test_what_is_wrong_is_said(wire: Any, body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        json.decode(body, wire)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([1], r"shape \[1\], expected \[-1, 2\] where -1 is any size"),
        ([1, 3], r"shape \[1, 3\], expected \[-1, 2\]"),
        ([], r"shape \[\], expected \[-1, 2\]"),
        ([1, 2, 1], r"shape \[1, 2, 1\], expected \[-1, 2\]"),
        ([1] * 100, r"shape \[1, 1, 1, 1, 1, 1, 1, 1, …\]"),
        ([1.0, 2], "must be integers of at least 0, not 1.0"),
        (["1", 2], "must be integers of at least 0, not '1'"),
        ([True, 2], "must be integers of at least 0, not true"),
        ([-1, 2], "must be integers of at least 0, not -1"),
        ([2**63, 2], "must be integers of at least 0"),
        ([[1], 2], "must be integers of at least 0, not a list"),
    ],
)
def test_wrong_shapes(wire: Any, tensor: Any, body_of: Any, shape: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        json.decode(body_of(tensor([1, 2], shape)), wire)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "input 'x' has no 'data'; expected a list"),
        ("12", "has 'data' that is '12'"),
        ({"a": 1}, "has 'data' that is an object"),
        ([1, 2, 3], r"shape \[2, 2\] needs 4 elements, data has 3"),
        ([], r"data is empty|has 0 elements|needs 4 elements"),
        ([[1, 2], [3]], r"a list at depth 2 has 1 elements, shape \[2, 2\] says 2"),
        ([[1, 2]], r"a list at depth 1 has 1 elements, shape \[2, 2\] says 2"),
        ([[1, 2], 3], "nested 2 deep as shape .* says; found 3 at depth 1"),
        ([[[1], [2]], [[3], [4]]], "element 0 is a list; FP32 takes numbers"),
        ([1, 2, "3", 4], "element 2 is '3'; FP32 takes numbers, and null for NaN"),
        ([1, 2, {}, 4], "element 2 is an object; FP32 takes numbers"),
        ([1, 1e39, 3, 4], "element 1 is 1e[+]?39, outside the range of FP32"),
        ([[1, 2], {"a": 1, "b": 2}], "found an object at depth 1"),
    ],
)
def test_wrong_data(wire: Any, tensor: Any, body_of: Any, data: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        json.decode(body_of(tensor(data, [2, 2])), wire)


@pytest.mark.parametrize(
    ("datatype", "element", "message"),
    [
        ("UINT8", 256, "element 1 is 256; UINT8 takes integers from 0 to 255"),
        ("UINT8", -1, "UINT8 takes integers from 0 to 255"),
        ("INT8", 128, "from -128 to 127"),
        ("INT32", 1.5, "element 1 is 1.5; INT32 takes integers"),
        ("INT64", 2**63, "INT64 takes integers"),
        ("INT64", None, "element 1 is null; INT64 takes integers"),
        ("INT64", "7", "element 1 is '7'; INT64 takes integers"),
        ("UINT64", 1e300, "UINT64 takes integers"),
        ("FP16", 65520, "outside the range of FP16"),
        ("BOOL", 2, "element 1 is 2; BOOL takes true and false"),
        ("BOOL", "true", "BOOL takes true and false"),
        ("BOOL", 1.0, "BOOL takes true and false"),
        ("BOOL", None, "element 1 is null; BOOL"),
        ("BYTES", 1, "element 1 is 1; BYTES takes strings"),
        ("BYTES", None, "element 1 is null; BYTES takes strings"),
    ],
)
def test_elements_that_do_not_fit(
    wire_of: Any, tensor: Any, body_of: Any, datatype: str, element: Any, message: str
) -> None:
    first = "a" if datatype == "BYTES" else 1
    wire = wire_of(("x", datatype, (-1,)))
    with pytest.raises(InvalidRequest, match=message):
        json.decode(body_of(tensor([first, element], [2], datatype)), wire)


@pytest.mark.parametrize(
    ("extras", "message"),
    [
        ({"id": 7}, "'id' must be a string, not 7"),
        ({"parameters": []}, "'parameters' of the request must be an object, not a list"),
        ({"parameters": {"timeout": "1"}}, "'timeout' must be microseconds as an integer"),
        ({"parameters": {"timeout": -1}}, "'timeout' must be microseconds as an integer"),
        ({"parameters": {"timeout": True}}, "'timeout' must be microseconds as an integer"),
        ({"parameters": {"priority": 1.5}}, "'priority' must be a level as an integer"),
        ({"parameters": {"triton_x": 1}}, "'triton_x' is reserved"),
        ({"parameters": {"binary_data_output": 1}}, "must be true or false, not 1"),
        ({"outputs": {}}, "'outputs' must be a list, not an object"),
        ({"outputs": {"name": "label"}}, "'outputs' must be a list, not an object"),
        ({"outputs": [{}]}, "an output has no name; the model has 'label', 'probabilities'"),
        ({"outputs": ["label"]}, "an output has no name"),
        ({"outputs": [{"name": "l"}]}, "unknown output 'l'; the model has 'label'"),
        ({"outputs": [{"name": "label"}] * 2}, "output 'label' is asked for twice"),
        (
            {"outputs": [{"name": "label", "parameters": {"classification": "3"}}]},
            "parameter 'classification' of output 'label' must be a number of classes",
        ),
        ({"outputs": [{"name": "label", "parameters": 1}]}, "'parameters' of output 'label'"),
        (
            {"outputs": [{"name": "label", "parameters": {"binary_data": "yes"}}]},
            "'binary_data' of output 'label' must be true or false, not 'yes'",
        ),
    ],
)
def test_wrong_extras(wire: Any, tensor: Any, body_of: Any, extras: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        json.decode(body_of(tensor([1, 2], [1, 2]), **extras), wire)


def test_inputs_are_given_once_and_all(wire_of: Any, tensor: Any, body_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1,)), ("y", "FP32", (-1,)))
    x = tensor([1], [1])
    with pytest.raises(InvalidRequest, match="missing input 'y'"):
        json.decode(body_of(x), wire)
    with pytest.raises(InvalidRequest, match="input 'x' is given twice"):
        json.decode(body_of(x, x), wire)
    with pytest.raises(InvalidRequest, match="unknown input 'z'"):
        json.decode(body_of(x, {**x, "name": "y"}, {**x, "name": "z"}), wire)
    with pytest.raises(InvalidRequest, match=r"input 'y' has 2 rows where .* have 1; axis 0"):
        json.decode(body_of(x, tensor([1, 2], [2], name="y")), wire)


def test_a_batch_needs_at_least_one_input(wire_of: Any, body_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1,), True))
    with pytest.raises(InvalidRequest, match="at least one input must be given"):
        json.decode(body_of(), wire)


def test_binary_size_without_its_header_is_explained(wire: Any, body_of: Any) -> None:
    x = {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    with pytest.raises(InvalidRequest, match="no Inference-Header-Content-Length header"):
        json.decode(body_of(x), wire)


def test_zero_timeout_and_priority_mean_the_default(wire: Any, tensor: Any, body_of: Any) -> None:
    parameters = {"timeout": 0, "priority": 0}
    request = json.decode(body_of(tensor([1, 2], [1, 2]), parameters=parameters), wire)
    assert (request.timeout_microseconds, request.priority) == (None, None)
