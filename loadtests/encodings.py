"""How inputs become request bytes and responses become outputs, for each protocol compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import orjson

from penstock.runtimes.datatypes import DATATYPE_OF, NUMPY_OF

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from .wire import Response

_JSON = "application/json"
_MSGPACK = "application/msgpack"
_OCTETS = "application/octet-stream"
_HEADER_LENGTH = "inference-header-content-length"

Tensors = dict[str, "NDArray[Any]"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """The part of a request that depends on its inputs."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way to ask and to read the answer.

    Attributes:
        name: For reports.
        encode: Inputs to body and headers.
        decode: A response with status 200 to outputs.
    """

    name: str
    encode: Callable[[Tensors], Encoded]
    decode: Callable[[Response], Tensors]


def _pack(value: object) -> bytes:
    packed = msgpack.packb(value)
    assert packed is not None
    return bytes(packed)


def _v2_tensor(name: str, array: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "shape": list(array.shape), "datatype": DATATYPE_OF[array.dtype]}


def _array(tensor: Mapping[str, Any]) -> NDArray[Any]:
    dtype = NUMPY_OF[tensor["datatype"]]
    data = tensor["data"]
    return np.frombuffer(data, dtype) if isinstance(data, bytes) else np.array(data, dtype)


def _encode_v2_json(inputs: Tensors) -> Encoded:
    tensors = [_v2_tensor(n, a) | {"data": a.ravel().tolist()} for n, a in inputs.items()]
    return Encoded(orjson.dumps({"inputs": tensors}), {"content-type": _JSON})


def _decode_v2_json(response: Response) -> Tensors:
    return {t["name"]: _array(t) for t in orjson.loads(response.body)["outputs"]}


def _encode_v2_msgpack(inputs: Tensors) -> Encoded:
    tensors = [_v2_tensor(n, a) | {"data": a.tobytes()} for n, a in inputs.items()]
    headers = {"content-type": _MSGPACK, "accept": _MSGPACK}
    return Encoded(_pack({"inputs": tensors}), headers)


def _decode_v2_msgpack(response: Response) -> Tensors:
    return {t["name"]: _array(t) for t in msgpack.unpackb(response.body)["outputs"]}


def _encode_v2_binary(inputs: Tensors) -> Encoded:
    tensors = [
        _v2_tensor(n, a) | {"parameters": {"binary_data_size": a.nbytes}} for n, a in inputs.items()
    ]
    head = orjson.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}})
    body = head + b"".join(a.tobytes() for a in inputs.values())
    return Encoded(body, {"content-type": _OCTETS, _HEADER_LENGTH: str(len(head))})


def _decode_v2_binary(response: Response) -> Tensors:
    length = int(response.headers.get(_HEADER_LENGTH.encode(), len(response.body)))
    position = length
    outputs: Tensors = {}
    for tensor in orjson.loads(response.body[:length])["outputs"]:
        size = tensor.get("parameters", {}).get("binary_data_size")
        if size is not None:
            tensor["data"] = response.body[position : position + size]
            position += size
        outputs[tensor["name"]] = _array(tensor)
    return outputs


def _encode_rows_json(inputs: Tensors) -> Encoded:
    return Encoded(
        orjson.dumps({n: a.tolist() for n, a in inputs.items()}), {"content-type": _JSON}
    )


def _decode_rows_json(response: Response) -> Tensors:
    return {name: np.array(rows) for name, rows in orjson.loads(response.body).items()}


def _encode_rows_msgpack(inputs: Tensors) -> Encoded:
    packed = {n: [list(a.shape), a.tobytes()] for n, a in inputs.items()}
    return Encoded(_pack(packed), {"content-type": _MSGPACK})


def _decode_rows_msgpack(response: Response) -> Tensors:
    answer = msgpack.unpackb(response.body)
    return {n: np.frombuffer(data, np.dtype(code)) for n, (code, data) in answer.items()}


def _encode_mlflow(inputs: Tensors) -> Encoded:
    rows = {n: a.tolist() for n, a in inputs.items()}
    return Encoded(orjson.dumps({"inputs": rows}), {"content-type": _JSON})


def _decode_mlflow(response: Response) -> Tensors:
    return {n: np.array(r) for n, r in orjson.loads(response.body)["predictions"].items()}


#: Open Inference Protocol v2: JSON, the same structure in msgpack with raw tensors, and the binary
#: tensor extension.
V2_JSON = Encoding("json", _encode_v2_json, _decode_v2_json)
V2_MSGPACK = Encoding("msgpack", _encode_v2_msgpack, _decode_v2_msgpack)
V2_BINARY = Encoding("binary", _encode_v2_binary, _decode_v2_binary)
#: What services with a format of their own speak here: ``{"features": [[...]]}``.
ROWS_JSON = Encoding("json", _encode_rows_json, _decode_rows_json)
ROWS_MSGPACK = Encoding("msgpack", _encode_rows_msgpack, _decode_rows_msgpack)
#: MLflow's scoring server.
MLFLOW_JSON = Encoding("json", _encode_mlflow, _decode_mlflow)

#: What Penstock speaks, by the name that scenarios and users give.
V2 = {encoding.name: encoding for encoding in (V2_JSON, V2_MSGPACK, V2_BINARY)}
