from __future__ import annotations

import msgpack
import numpy as np
import orjson
import pytest

from penstock.loadtests.encodings import MLFLOW_JSON, ROWS_JSON, ROWS_MSGPACK, V2
from penstock.loadtests.wire import Response

INPUTS = {"features": np.arange(6, dtype=np.float32).reshape(2, 3)}


def respond(body: bytes, **headers: str) -> Response:
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Response(200, fields, body, keep_alive=True)


@pytest.mark.parametrize("name", ["json", "msgpack"])
def test_v2_documents_come_back_as_they_went(name):
    encoding = V2[name]
    body = encoding.encode(INPUTS).body
    load, dump = (
        (orjson.loads, orjson.dumps) if name == "json" else (msgpack.unpackb, msgpack.packb)
    )
    outputs = dump({"outputs": load(body)["inputs"]})
    assert encoding.decode(respond(outputs))["features"].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_binary_extension_says_where_its_head_ends():
    encoded = V2["binary"].encode(INPUTS)
    length = int(encoded.headers["inference-header-content-length"])
    head = orjson.loads(encoded.body[:length])
    assert head["inputs"][0]["parameters"] == {"binary_data_size": 24}
    assert encoded.body[length:] == INPUTS["features"].tobytes()


def test_a_binary_answer_may_mix_raw_and_json_outputs():
    head = orjson.dumps(
        {
            "outputs": [
                {"name": "a", "datatype": "INT64", "shape": [1], "data": [7]},
                {
                    "name": "b",
                    "datatype": "FP32",
                    "shape": [2],
                    "parameters": {"binary_data_size": 8},
                },
            ]
        }
    )
    raw = np.array([1.5, 2.5], "<f4").tobytes()
    answer = respond(head + raw, inference_header_content_length=str(len(head)))
    outputs = V2["binary"].decode(answer)
    assert outputs["a"].tolist() == [7]
    assert outputs["b"].tolist() == [1.5, 2.5]


def test_formats_of_the_peers_carry_the_same_rows():
    assert orjson.loads(ROWS_JSON.encode(INPUTS).body) == {"features": [[0, 1, 2], [3, 4, 5]]}
    assert orjson.loads(MLFLOW_JSON.encode(INPUTS).body)["inputs"]["features"][1] == [3, 4, 5]
    shape, raw = msgpack.unpackb(ROWS_MSGPACK.encode(INPUTS).body)["features"]
    assert (shape, raw) == ([2, 3], INPUTS["features"].tobytes())
    packed = msgpack.packb({"y": ("<f4", np.array([1.5], "<f4").tobytes())})
    assert ROWS_MSGPACK.decode(respond(packed))["y"].tolist() == [1.5]
    answer = respond(b'{"predictions": {"y": [1.5]}}')
    assert MLFLOW_JSON.decode(answer)["y"].tolist() == [1.5]
