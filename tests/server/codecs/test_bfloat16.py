"""Inputs of FP32 may be sent as raw BF16, and are the same numbers."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import msgpack
import numpy as np
import orjson
import pytest

from penstock.server.codecs import binary, json, protobuf
from penstock.server.codecs import msgpack as packed
from penstock.server.errors import InvalidRequest
from penstock.server.oip.schema import message

NUMBERS = np.array([[1.5, -0.0, 3.0e38], [np.inf, np.nan, 1e-40]], ml_dtypes.bfloat16)
RAW = NUMBERS.tobytes()


def tensor(**more: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "BF16", "shape": [2, 3], **more}


def in_binary(wire: Any, raw: bytes = RAW) -> Any:
    head = orjson.dumps({"inputs": [tensor(parameters={"binary_data_size": len(raw)})]})
    return binary.decode(head + raw, wire, len(head))


def in_msgpack(wire: Any, raw: bytes = RAW) -> Any:
    return packed.decode(msgpack.packb({"inputs": [tensor(data=raw)]}), wire)


def in_grpc(wire: Any, raw: bytes = RAW) -> Any:
    request = message("ModelInferRequest")(model_name="m")
    request.inputs.add(name="x", datatype="BF16", shape=[2, 3])
    request.raw_input_contents.append(raw)
    return protobuf.decode(request.SerializeToString(), wire)


FORMATS = [in_binary, in_msgpack, in_grpc]


@pytest.mark.parametrize("decode", FORMATS)
def test_raw_numbers_are_widened_exactly(wire_of: Any, decode: Any) -> None:
    request = decode(wire_of(("x", "FP32", (-1, 3))))
    (array,) = request.inputs
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array.view(np.uint32), NUMBERS.astype(np.float32).view(np.uint32))
    assert request.rows == 2


@pytest.mark.parametrize("decode", FORMATS)
def test_the_number_of_bytes_is_that_of_the_shape(wire_of: Any, decode: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"BF16 of shape .* takes 12 bytes, got 24"):
        decode(wire_of(("x", "FP32", (-1, 3))), RAW * 2)


@pytest.mark.parametrize("datatype", ["FP16", "FP64", "INT16"])
def test_other_inputs_do_not_take_it(wire_of: Any, datatype: str) -> None:
    with pytest.raises(InvalidRequest, match=f'"datatype":"{datatype}", not .BF16.'):
        in_binary(wire_of(("x", datatype, (-1, 3))))


def test_json_and_typed_contents_have_no_form_for_it(wire_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1, 3)))
    with pytest.raises(InvalidRequest, match="BF16 is taken as raw bytes only"):
        json.decode(orjson.dumps({"inputs": [tensor(data=[0.0] * 6)]}), wire)
    request = message("ModelInferRequest")(model_name="m")
    request.inputs.add(name="x", datatype="BF16", shape=[2, 3]).contents.fp32_contents.extend(
        [0] * 6
    )
    with pytest.raises(InvalidRequest, match="BF16 has no typed contents"):
        protobuf.decode(request.SerializeToString(), wire)
    twice = orjson.dumps({"inputs": [tensor(data=[]), tensor(data=[])]})
    with pytest.raises(InvalidRequest):
        json.decode(twice, wire)
