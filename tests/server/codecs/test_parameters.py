"""Parameters that would change the meaning of an answer are refused by name, in every format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import orjson
import pytest

from penstock.server.codecs import binary, json
from penstock.server.codecs import msgpack as packed
from penstock.server.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = np.array([[1.5, 2.5]], "<f4")


def decode_json(document: dict[str, Any], wire: Any) -> Any:
    return json.decode(orjson.dumps(document), wire)


def decode_msgpack(document: dict[str, Any], wire: Any) -> Any:
    return packed.decode(msgpack.packb(document), wire)


def decode_packed_bytes(document: dict[str, Any], wire: Any) -> Any:
    inputs = [
        {**one, "data": DATA.tobytes()} if "data" in one else one for one in document["inputs"]
    ]
    return packed.decode(msgpack.packb({**document, "inputs": inputs}), wire)


def decode_binary(document: dict[str, Any], wire: Any) -> Any:
    raw = b""
    inputs = []
    for one in document["inputs"]:
        entry = dict(one)
        if entry.pop("data", None) is not None:
            size = {"binary_data_size": DATA.nbytes}
            entry["parameters"] = {**size, **(entry.get("parameters") or {})}
            raw = DATA.tobytes()
        inputs.append(entry)
    head = orjson.dumps({**document, "inputs": inputs})
    return binary.decode(head + raw, wire, len(head))


def decode_json_with_a_length(document: dict[str, Any], wire: Any) -> Any:
    body = orjson.dumps(document)
    return binary.decode(body, wire, len(body))


FORMATS = {
    "JSON": decode_json,
    "JSON with its length": decode_json_with_a_length,
    "binary": decode_binary,
    "msgpack": decode_msgpack,
    "msgpack of bytes": decode_packed_bytes,
}


def document(**entry: Any) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": DATA.ravel().tolist()}
    return {"inputs": [{**tensor, **entry}]}


@pytest.fixture(params=FORMATS)
def decode(request: pytest.FixtureRequest, wire_of: Any) -> Callable[[dict[str, Any]], Any]:
    wire = wire_of(("x", "FP32", (-1, 2)))
    return lambda content: FORMATS[request.param](content, wire)


REFUSED_OF_TENSORS = [
    {"shared_memory_region": "r"},
    {"shared_memory_region": "r", "shared_memory_byte_size": 8},
    {"shared_memory_offset": 0},
    {"shared_memory_byte_size": 8},
]
REFUSED_OF_INPUTS = [*REFUSED_OF_TENSORS, {"classification": 2}]


@pytest.mark.parametrize("parameters", REFUSED_OF_TENSORS)
def test_of_outputs(decode: Callable[..., Any], parameters: dict[str, Any]) -> None:
    content = document() | {"outputs": [{"name": "label", "parameters": parameters}]}
    with pytest.raises(InvalidRequest, match=f"output 'label'.*{next(iter(parameters))}"):
        decode(content)


@pytest.mark.parametrize("parameters", REFUSED_OF_INPUTS)
def test_of_inputs_with_and_without_data(
    decode: Callable[..., Any], parameters: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match=f"input 'x'.*{next(iter(parameters))}"):
        decode(document(parameters=parameters))
    without = document(parameters=parameters)
    del without["inputs"][0]["data"]
    with pytest.raises(InvalidRequest, match=f"input 'x'.*{next(iter(parameters))}"):
        decode(without)


@pytest.mark.parametrize(
    "parameters",
    [
        {"sequence_id": 7},
        {"sequence_id": "a"},
        {"sequence_start": True},
        {"sequence_end": True},
        {"classification": 3},
        {"triton_anything": 0},
        {"triton_enable_empty_final_response": 1},
    ],
)
def test_of_requests(decode: Callable[..., Any], parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=next(iter(parameters))):
        decode(document() | {"parameters": parameters})


@pytest.mark.parametrize("flag", [True, False])
def test_a_request_has_one_answer_whether_or_not_an_empty_one_behind_it_is_asked_for(
    decode: Callable[..., Any], flag: bool
) -> None:
    asked = {"triton_enable_empty_final_response": flag}
    request = decode(document() | {"parameters": asked})
    np.testing.assert_array_equal(request.inputs[0], DATA)


def test_what_says_nothing_and_what_nobody_knows_is_taken(decode: Callable[..., Any]) -> None:
    content = document(parameters={"content_type": "np", "mine": 1}) | {
        "parameters": {"sequence_id": 0, "sequence_start": False, "content_type": "pd", "x": [1]},
        "outputs": [{"name": "label", "parameters": {"mine": {"a": 1}}}],
    }
    np.testing.assert_array_equal(decode(content).inputs[0], DATA)
