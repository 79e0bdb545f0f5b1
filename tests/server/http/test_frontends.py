"""One conformance suite over both front ends: the same request, the same answer, byte for byte.

Each request goes to four servers, three times each: both front ends, with requests that are
remembered and run together, and without.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

#: What a server remembers of a request is learnt from the first and used from the third on.
TIMES = 3
#: What differs between two runs of one request: the date, and an id that the server makes up.
_DATE = re.compile(rb"\r\ndate: [^\r]*")
_MADE_ID = re.compile(rb"x-request-id: [0-9a-f]{17,}(?=\r\n|$)")


def both(servers: dict[str, Any], raw: bytes) -> Any:
    """The answer, after comparing both front ends, with requests remembered and without."""
    answers = {}
    for name, server in servers.items():
        for time in range(TIMES):
            answer = server.ask(raw)
            head = _MADE_ID.sub(b"x-request-id: made-up", _DATE.sub(b"", answer.head))
            # Only the fast path closes on a body that it will not read: it answers before the end.
            head = head.replace(b"\r\nconnection: close", b"") if answer.status == 413 else head
            answers[name, time] = head, answer.body, answer
    for head, body, _ in answers.values():
        assert (head, body) == answers["fast", 0][:2]
    return answers["fast", 0][2]


GOOD: dict[str, tuple[Any, ...]] = {
    "a version in the path": ("/v2/models/echo/versions/1/infer",),
    "a percent-encoded name": ("/v2/models/%65cho/infer",),
    "a query string": ("/v2/models/echo/infer?trace=1",),
    "an absolute URL": ("http://penstock:80/v2/models/echo/infer",),
    "a request id": ("echo", None, "x-request-id: me-1/2"),
    "a deadline": ("echo", None, "x-request-timeout-ms: 5000"),
    "no hurry": ("echo", None, "priority: u=7, i"),
    "a charset": ("echo", None, "content-type: application/json; charset=UTF-8"),
    "no content type": ("echo", None),
    "accepting anything": ("echo", None, "accept: */*", "accept-encoding: gzip, br"),
    "odd but right headers": ("echo", None, "x-a: 1", "x-b:", "X-C:   \t spaced  "),
}


@pytest.mark.parametrize("case", GOOD)
def test_good_requests(servers: dict[str, Any], post: Callable[..., bytes], case: str) -> None:
    answer = both(servers, post(*GOOD[case]))
    assert answer.status == 200
    assert json.loads(answer.body)["outputs"][0]["data"] == [1.0, 2.0]
    version = "1" if "versions/1" in GOOD[case][0] else "2"
    assert answer.headers["x-model-version"] == version
    assert answer.headers["content-type"] == "application/json"
    assert len(answer.headers["x-request-id"]) > 0


DATA: dict[str, list[Any]] = {
    "BOOL": [[True, False], [False, True]],
    **{f"UINT{bits}": [[0, 2**bits - 1], [1, 2]] for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": [[-(2 ** (bits - 1)), 2 ** (bits - 1) - 1], [-1, 0]] for bits in (8, 16, 32)},
    "INT64": [[-(2**63), 2**63 - 1], [-1, 0]],
    "FP16": [[1.5, -65504.0], [0.0, 0.25]],
    "FP32": [[1.5, -3.4028235e38], [0.1, 1e-45]],
    "FP64": [[0.1, -1.7976931348623157e308], [5e-324, 0.0]],
    "BYTES": [["", "grüße"], ["\u0000", '"\\']],
}


@pytest.mark.parametrize("datatype", DATA)
def test_every_datatype_comes_back_exactly(
    servers: dict[str, Any],
    post: Callable[..., bytes],
    body: Callable[..., bytes],
    datatype: str,
) -> None:
    data = DATA[datatype]
    answer = both(servers, post(f"echo-{datatype.lower()}", body(data, datatype=datatype)))
    (output,) = json.loads(answer.body)["outputs"]
    assert output["shape"] == [2, 2]
    assert output["datatype"] == datatype
    assert output["data"] == [*data[0], *data[1]]


def test_null_is_nan_and_unfinite_results_are_null(
    servers: dict[str, Any], post: Callable[..., bytes], body: Callable[..., bytes]
) -> None:
    answer = both(servers, post("echo", body([[None, 1.0]])))
    assert json.loads(answer.body)["outputs"][0]["data"] == [None, 1.0]


def test_several_inputs_and_wanted_outputs_in_any_order(
    servers: dict[str, Any], post: Callable[..., bytes]
) -> None:
    a = {"name": "a", "shape": [2, 3], "datatype": "FP32", "data": [1, 2, 3, 4, 5, 6]}
    b = {"name": "b", "shape": [2, 2], "datatype": "INT64", "data": [[1, 2], [3, 4]]}
    wanted = [{"name": "same"}, {"name": "sum"}]
    content = {"id": "mine", "inputs": [b, a], "outputs": wanted}
    answer = json.loads(both(servers, post("two", json.dumps(content).encode())).body)
    assert answer["id"] == "mine"
    assert [(o["name"], o["data"]) for o in answer["outputs"]] == [
        ("same", [1, 2, 3, 4]),
        ("sum", [6.0, 15.0]),
    ]
    only = {"inputs": [a, b], "outputs": [{"name": "sum"}]}
    answer = json.loads(both(servers, post("two", json.dumps(only).encode())).body)
    assert [o["name"] for o in answer["outputs"]] == ["sum"]


def test_a_model_without_a_batch_axis(
    servers: dict[str, Any], post: Callable[..., bytes], body: Callable[..., bytes]
) -> None:
    answer = both(servers, post("whole", body([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])))
    assert json.loads(answer.body)["outputs"][0]["shape"] == [2, 3]


def test_msgpack(servers: dict[str, Any], post: Callable[..., bytes]) -> None:
    data = np.array([1.5, -2.5], "<f4").tobytes()
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": data}
    content = msgpack.packb({"inputs": [tensor]})
    answer = both(servers, post("echo", content, "content-type: application/msgpack"))
    assert answer.headers["content-type"] == "application/msgpack"
    assert msgpack.unpackb(answer.body)["outputs"][0]["data"] == data


def test_the_binary_extension(servers: dict[str, Any], post: Callable[..., bytes]) -> None:
    raw = np.array([1.5, -2.5], "<f4").tobytes()
    tensor = {
        "name": "x",
        "shape": [1, 2],
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    line = f"inference-header-content-length: {len(head)}"
    answer = both(servers, post("echo", head + raw, line))
    length = int(answer.headers["inference-header-content-length"])
    assert json.loads(answer.body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert answer.body[length:] == raw


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_both_ways(
    servers: dict[str, Any], post: Callable[..., bytes], body: Callable[..., bytes], encoding: str
) -> None:
    squeeze, spread = {
        "gzip": (gzip.compress, gzip.decompress),
        "deflate": (zlib.compress, zlib.decompress),
    }[encoding]
    rows = [[float(i), 0.0] for i in range(500)]
    lines = (f"content-encoding: {encoding}", f"accept-encoding: {encoding}")
    answer = both(servers, post("echo", squeeze(body(rows)), *lines))
    assert answer.headers["content-encoding"] == encoding
    assert answer.headers["vary"] == "accept-encoding"
    assert json.loads(spread(answer.body))["outputs"][0]["shape"] == [500, 2]
    small = both(servers, post("echo", None, f"accept-encoding: {encoding}"))
    assert "content-encoding" not in small.headers


def test_a_large_body_is_decoded_beside_the_loop(
    servers: dict[str, Any], post: Callable[..., bytes], body: Callable[..., bytes]
) -> None:
    rows = [[i + 0.5, -1.0] for i in range(10_000)]
    content = body(rows)
    assert 65_536 < len(content) < 300_000
    answer = json.loads(both(servers, post("echo", content)).body)
    assert answer["outputs"][0]["data"][:4] == [0.5, -1.0, 1.5, -1.0]


def tensor(**changes: Any) -> bytes:
    """A request to ``echo`` with a changed input; ``...`` leaves a field out."""
    fields = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0], **changes}
    return json.dumps({"inputs": [{k: v for k, v in fields.items() if v is not ...}]}).encode()


X = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}
#: What is wrong -> arguments of `post`, status, and what the message must say.
BAD: dict[str, tuple[tuple[Any, ...], int, str]] = {
    "no body": (("echo", b""), 400, "JSON"),
    "malformed JSON": (("echo", b'{"inputs": ['), 400, "JSON"),
    "a NaN token": (("echo", tensor().replace(b"1.0", b"NaN")), 400, "JSON"),
    "an Infinity token": (("echo", tensor().replace(b"1.0", b"-Infinity")), 400, "JSON"),
    "not UTF-8": (("echo", b'{"id": "\xff"}'), 400, "JSON"),
    "deep nesting": (("echo", b"[" * 100_000), 400, "JSON"),
    "deep nesting of data": (
        ("echo", tensor(data=0).replace(b"0}", b"[" * 5000 + b"]" * 5000 + b"}")),
        400,
        "",
    ),
    "another document": (("echo", b"[1, 2]"), 400, "an object with 'inputs', not a list"),
    "no inputs": (("echo", b"{}"), 400, "expected inputs 'x' FP32[-1, 2]"),
    "inputs that are no list": (("echo", b'{"inputs": {}}'), 400, "expected inputs 'x'"),
    "a missing input": (("echo", b'{"inputs": []}'), 400, "missing input 'x'; expected"),
    "an extra input": (
        ("echo", json.dumps({"inputs": [X, {**X, "name": "z"}]}).encode()),
        400,
        "unknown input 'z'; expected inputs 'x' FP32[-1, 2]",
    ),
    "an input given twice": (("echo", json.dumps({"inputs": [X, X]}).encode()), 400, "twice"),
    "a wrong name": (("echo", tensor(name="y")), 400, "unknown input 'y'; expected inputs 'x'"),
    "a name that is a number": (("echo", tensor(name=3)), 400, "expected inputs 'x'"),
    "no name": (("echo", tensor(name=...)), 400, "no 'name'"),
    "a wrong datatype": (("echo", tensor(datatype="INT64")), 400, '"datatype":"FP32"'),
    "no datatype": (("echo", tensor(datatype=...)), 400, '"datatype":"FP32"'),
    "no shape": (("echo", tensor(shape=...)), 400, "has no 'shape'; expected [-1, 2]"),
    "a shape of other rank": (("echo", tensor(shape=[2])), 400, "shape [2], expected [-1, 2]"),
    "a shape that does not fit the model": (
        ("echo", tensor(shape=[1, 3], data=[1, 2, 3])),
        400,
        "has shape [1, 3], expected [-1, 2]",
    ),
    "a shape that does not fit the data": (
        ("echo", tensor(shape=[2, 2])),
        400,
        "needs 4 elements, data has 2",
    ),
    "a negative shape": (("echo", tensor(shape=[-1, 2])), 400, "at least 0, not -1"),
    "a gigantic shape": (("echo", tensor(shape=[2**50, 2])), 400, "dimensions"),
    "a shape of rows that cannot be": (("echo", tensor(shape=[2**39, 2])), 400, "elements"),
    "ragged lists": (
        ("echo", tensor(shape=[2, 2], data=[[1, 2], [3]])),
        400,
        "a list at depth 2 has 1 elements",
    ),
    "text among numbers": (("echo", tensor(data=[1, "2"])), 400, "element 1 is '2'"),
    "a number out of range": (("echo", tensor(data=[1e39, 0])), 400, "outside the range of FP32"),
    "an integer out of range": (
        ("echo-uint8", tensor(datatype="UINT8", data=[256, 0])),
        400,
        "UINT8 takes integers from 0 to 255",
    ),
    "an integer beyond 64 bits": (
        ("echo-int64", tensor(datatype="INT64", data=[2**70, 0])),
        400,
        "element 0",
    ),
    "a fraction for an integer": (
        ("echo-int64", tensor(datatype="INT64", data=[1.5, 0])),
        400,
        "element 0 is 1.5",
    ),
    "a number for a string": (("echo-bytes", tensor(datatype="BYTES")), 400, "takes strings"),
    "no data": (("echo", tensor(data=...)), 400, "'data'"),
    "an unknown output": (
        ("echo", json.dumps({"inputs": [X], "outputs": [{"name": "z"}]}).encode()),
        400,
        "unknown output 'z'; the model has 'y'",
    ),
    "different rows": (
        (
            "two",
            json.dumps(
                {
                    "inputs": [
                        {"name": "a", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]},
                        {"name": "b", "shape": [2, 2], "datatype": "INT64", "data": [1, 2, 3, 4]},
                    ]
                }
            ).encode(),
        ),
        400,
        "must be equal",
    ),
    "a body over the limit": (("echo", b" " * 300_001), 413, "over 300000 bytes"),
    "a wrong content type": (
        ("echo", None, "content-type: text/csv"),
        415,
        "'text/csv' is not spoken here: send application/json",
    ),
    "a wrong encoding": (("echo", None, "content-encoding: br"), 415, "use gzip, deflate or none"),
    "not gzip at all": (("echo", None, "content-encoding: gzip"), 400, "not valid gzip"),
    "a bad request id": (("echo", None, "x-request-id: a b"), 400, "visible ASCII"),
    "a bad deadline": (("echo", None, "x-request-timeout-ms: soon"), 400, "milliseconds"),
    "a negative deadline": (("echo", None, "x-request-timeout-ms: -1"), 400, "milliseconds"),
    "an unknown model": (("nobody",), 404, "model 'nobody' is not served; GET /v2/models"),
    "an unknown version": (
        ("/v2/models/echo/versions/9/infer",),
        404,
        "version '9' of model 'echo' is not served; served versions: 1, 2",
    ),
    "a version that is no number": (("/v2/models/echo/versions/new/infer",), 404, "'new'"),
    "an encoded slash": (("/v2/models/echo%2Finfer/infer",), 400, "an encoded slash"),
    "an encoded line end": (("/v2/models/a%0d%0ab/infer",), 404, "is not served"),
    "a question mark in the name": (("/v2/models/echo?x/infer",), 405, "GET"),
    "no such route": (("/v2/models/echo/explain",), 404, "no route"),
    "a model that could not be loaded": (("broken",), 404, "not an ONNX model"),
    "an empty model file": (("empty",), 404, "could not be loaded"),
    "a truncated model file": (("truncated",), 404, "cut short"),
    "a version that could not be loaded": (
        ("/v2/models/mixed/versions/1/infer",),
        404,
        "could not be loaded (version 1",
    ),
    "a directory without versions": (("vacant",), 404, "is not served"),
    "a version without files": (("unfinished",), 404, "no model file"),
    "a model that fails": (
        ("pick", tensor(name="index", datatype="INT64", shape=[1, 1], data=[99])),
        400,
        "the model cannot run these inputs, 'index' [1, 1]: ",
    ),
    "inputs that differ in a dimension of one name": (
        (
            "bert",
            json.dumps(
                {
                    "inputs": [
                        {"name": n, "shape": [1, m], "datatype": "FP32", "data": [1] * m}
                        for n, m in (("ids", 3), ("mask", 4))
                    ]
                }
            ).encode(),
        ),
        400,
        "'seq', which the model gives all of them; the request has 'ids' [1, 3], 'mask' [1, 4]",
    ),
    "the largest of nothing": (("largest", tensor(shape=[1, 0], data=[])), 400, "'x' [1, 0]"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests(servers: dict[str, Any], post: Callable[..., bytes], case: str) -> None:
    arguments, status, said = BAD[case]
    answer = both(servers, post(*arguments))
    assert answer.status == status, answer
    content = json.loads(answer.body)
    assert list(content) == ["error"]
    assert said in content["error"]
    assert len(content["error"]) < 600
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-error-code"]
    assert answer.headers["x-request-id"]
    assert both(servers, post()).status == 200, "the server does not go on"


@pytest.mark.parametrize("case", ["a body over the limit", "a wrong encoding"])
def test_a_refused_request_keeps_its_id(
    servers: dict[str, Any], post: Callable[..., bytes], case: str
) -> None:
    target, content, *lines = (*BAD[case][0], None)[:3]
    named = [*filter(None, lines), "x-request-id: me"]
    assert both(servers, post(target, content, *named)).headers["x-request-id"] == "me"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_wrong_method_is_told_the_right_one(
    servers: dict[str, Any], get: Callable[..., bytes], method: str
) -> None:
    answer = both(servers, get("/v2/models/echo/infer", method=method))
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert "use POST" in json.loads(answer.body)["error"]


def test_posting_to_a_page_is_told_to_get(
    servers: dict[str, Any], post: Callable[..., bytes]
) -> None:
    answer = both(servers, post("/v2/models/echo"))
    assert answer.status == 405
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2", 200),
        ("/v2/health/live", 200),
        ("/v2/health/ready", 200),
        ("/v2/models", 200),
        ("/v2/models/echo", 200),
        ("/v2/models/echo/versions/1", 200),
        ("/v2/models/echo/ready", 200),
        ("/v2/models/mixed/versions/1/ready", 503),
        ("/v2/models/broken", 404),
        ("/v2/models/nobody/ready", 404),
        ("/v2/models/echo/", 200),
        ("/v3", 404),
        ("/", 307),
        ("/docs", 200),
    ],
)
def test_pages(servers: dict[str, Any], get: Callable[..., bytes], path: str, status: int) -> None:
    # The host is in some answers, and must be the same to be compared.
    assert both(servers, get(path, "x-request-id: me")).status == status


def test_openapi_is_the_same(servers: dict[str, Any], get: Callable[..., bytes]) -> None:
    paths = json.loads(both(servers, get("/openapi.json")).body)["paths"]
    assert "/v2/models/echo/versions/1/infer" in paths


def test_ids_are_echoed_or_made_up_once(any_server: Any, post: Callable[..., bytes]) -> None:
    assert any_server.ask(post("echo", None, "x-request-id: a")).headers["x-request-id"] == "a"
    made = {any_server.ask(post()).headers["x-request-id"] for _ in range(20)}
    assert len(made) == 20


def test_an_empty_registry_serves_nothing_and_says_so(
    live_server: Any, tmp_path: Any, post: Callable[..., bytes], get: Callable[..., bytes]
) -> None:
    for name in ("fast", "asgi"):
        with live_server(tmp_path, name) as server:
            assert server.ask(get("/v2/health/ready")).status == 200
            assert json.loads(server.ask(get("/v2/models")).body) == []
            answer = server.ask(post())
            assert answer.status == 404
            assert "GET /v2/models" in json.loads(answer.body)["error"]


def test_broken_models_stand_beside_good_ones(any_server: Any, get: Callable[..., bytes]) -> None:
    index = json.loads(any_server.ask(get("/v2/models")).body)
    states = {(entry["name"], entry["version"]): entry for entry in index}
    assert states["echo", "2"]["state"] == states["mixed", "2"]["state"] == "READY"
    for name in ("broken", "empty", "truncated", "mixed", "unfinished"):
        failed = states[name, "1"]
        assert failed["state"] == "FAILED"
        assert failed["reason"]


def test_a_bad_request_does_not_fail_its_neighbours(
    any_server: Any, post: Callable[..., bytes], held: Callable[..., bytes], gate: Any
) -> None:
    """Both threads are kept busy, so that all that follows shares batches."""
    blockers = [any_server.connect().send(held(1000.0 + i)) for i in range(2)]
    for _ in blockers:
        gate.wait_until_held()
    indices = [3, 99, 4, -50, 5, 8, 6]
    fields = {"name": "index", "datatype": "INT64", "shape": [1, 1]}
    clients = [any_server.connect().send(post("pick", tensor(**fields, data=[i]))) for i in indices]
    wrong = any_server.ask(post("pick", tensor(**fields, data=["no"])))
    assert wrong.status == 400
    gate.open.set()
    for index, client in zip(indices, clients, strict=True):
        answer = client.answer()
        if index < 8 and index >= -8:
            assert json.loads(answer.body)["outputs"][0]["data"] == [float(index)]
        else:
            assert answer.status == 400
            assert "the inputs are at fault" in json.loads(answer.body)["error"]
        client.socket.close()
    for client in blockers:
        assert client.answer().status == 200
        client.socket.close()


def test_a_request_without_rows_gets_outputs_without_rows(
    servers: dict[str, Any], post: Callable[..., bytes]
) -> None:
    answer = both(servers, post("echo", tensor(shape=[0, 2], data=[])))
    assert answer.status == 200
    (output,) = json.loads(answer.body)["outputs"]
    assert (output["shape"], output["data"]) == ([0, 2], [])


def test_a_bad_row_in_a_lane_does_not_fail_its_neighbours(
    any_server: Any, post: Callable[..., bytes]
) -> None:
    """Requests that differ in one digit: known by the third, and run together from then on."""
    fields = {"name": "index", "datatype": "INT64", "shape": [1, 1]}
    for index in (1, 2, 3):
        assert any_server.ask(post("pick", tensor(**fields, data=[index]))).status == 200
    indices = [3, 9, 4, 5, 9, 6, 7, 0]
    clients = [any_server.connect() for _ in indices]
    for index, client in zip(indices, clients, strict=True):
        client.send(post("pick", tensor(**fields, data=[index])))
    for index, client in zip(indices, clients, strict=True):
        answer = client.answer()
        if index < 8:
            assert json.loads(answer.body)["outputs"][0]["data"] == [float(index)]
        else:
            assert answer.status == 400
            assert "the inputs are at fault" in json.loads(answer.body)["error"]
        client.socket.close()


def test_rows_that_are_too_short_and_too_long_by_as_much_do_not_change_their_neighbours(
    any_server: Any, post: Callable[..., bytes]
) -> None:
    """All have the same bytes around the same number of bytes."""

    def echo(numbers: str) -> bytes:
        entry = f'{{"name":"x","shape":[1,2],"datatype":"FP32","data":[{numbers}]}}'
        return post("echo", f'{{"inputs":[{entry}]}}'.encode())

    for _ in range(3):
        assert any_server.ask(echo("1.0,2.0")).status == 200
    rows = ["3.0,4.0", "5.00000", "6,7,8.0", "1,2,3,4", "9.0    ", "5.0,6.0"]
    clients = [any_server.connect() for _ in rows]
    for numbers, client in zip(rows, clients, strict=True):
        client.send(echo(numbers))
    for numbers, client in zip(rows, clients, strict=True):
        answer = client.answer()
        given = [float(one) for one in numbers.split(",")]
        if len(given) == 2:
            assert json.loads(answer.body)["outputs"][0]["data"] == given
        else:
            assert answer.status == 400
            assert "elements" in json.loads(answer.body)["error"]
        client.socket.close()
