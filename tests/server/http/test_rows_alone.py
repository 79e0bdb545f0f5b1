"""Models whose axis 0 is rows and whose rows couple: each request is answered as it is alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.merge import snapshot
from penstock.runtimes.contract import Signature, TensorSpec
from penstock.server.codecs import json_data
from penstock.server.codecs.request import build
from penstock.server.codecs.signature import WireSignature

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.runtimes.contract import Array

TOML = """
[batching]
max_queue_seconds = 60

[monitoring]
features = ["a", "b"]

[quality.fields.b]
max = 50
policy = "reject"
"""


@pytest.fixture
def root(tmp_path: Path, onnx_file: Callable[..., Path]) -> Path:
    onnx_file(
        tmp_path / "centred" / "1" / "model.onnx",
        [("ReduceMean", ["x", "axes"], ["mean"]), ("Sub", ["x", "mean"], ["y"])],
        [("x", "FLOAT", ["n", 2])],
        [("y", "FLOAT", ["n", 2])],
        [numpy_helper.from_array(np.array([0]), "axes")],
    )
    (tmp_path / "centred" / "model.toml").write_text(TOML)
    onnx_file(
        tmp_path / "attend" / "1" / "model.onnx",
        [("Transpose", ["key"], ["t"], {"perm": [1, 0]}), ("MatMul", ["query", "t"], ["y"])],
        [("query", "FLOAT", ["q", 2]), ("key", "FLOAT", ["k", 2])],
        [("y", "FLOAT", ["q", "k"])],
    )
    return tmp_path


def document(**arrays: Array) -> Any:
    return {
        "inputs": [
            {"name": name, "datatype": "FP32", "shape": list(one.shape), "data": one.tolist()}
            for name, one in arrays.items()
        ]
    }


def alone(root: Path, model: str, **arrays: Array) -> Array:
    session = ort.InferenceSession(root / model / "1" / "model.onnx")
    right: Array = session.run(None, arrays)[0]
    return right


def output(answer: Any) -> Array:
    assert answer.status == 200, answer
    (one,) = json.loads(answer.body)["outputs"]
    return np.array(one["data"], np.float32).reshape(one["shape"])


@pytest.mark.parametrize("frontend", ["fast", "asgi"])
def test_requests_of_several_rows_are_answered_as_alone_and_counted_by_rows(
    root: Path,
    live_server: Any,
    post: Callable[..., bytes],
    get: Callable[..., bytes],
    frontend: str,
) -> None:
    generator = np.random.default_rng(5)
    sizes = (3, 1, 2, 1, 3) * 12
    requests = [generator.normal(size=(rows, 2)).astype(np.float32) * 9 for rows in sizes]
    with live_server(root, frontend, threads=2) as server:
        told = json.loads(server.ask(get("/v2/models/centred")).body)
        with server.connect() as client:
            client.send(*(post("centred", json.dumps(document(x=x)).encode()) for x in requests))
            answers = [output(client.answer()) for _ in requests]
        figures = server.on_loop(lambda: snapshot(server.app.engine.counters))
    for x, answer in zip(requests, answers, strict=True):
        np.testing.assert_allclose(answer, alone(root, "centred", x=x), rtol=1e-5, atol=1e-5)
    block = figures.blocks["centred", "1"]
    runs = sum(block[layout.BATCH_ROWS.first : layout.BATCH_ROWS.total])
    assert (runs, block[layout.BATCH_ROWS.total]) == (len(sizes), sum(sizes))
    assert told["inputs"][0]["shape"] == told["outputs"][0]["shape"] == [-1, 2]
    parameters = told["parameters"]
    assert (parameters["rows"], parameters["batching"]) == ("axis 0", "off")
    assert "rows influence each other" in parameters["batching_reason"]


def test_a_fault_is_found_in_its_row(
    root: Path, live_server: Any, post: Callable[..., bytes]
) -> None:
    x = np.array([[99, 1], [1, 99], [1, 1]], np.float32)
    with live_server(root, "fast", threads=1) as server:
        answer = server.ask(post("centred", json.dumps(document(x=x)).encode()))
    assert answer.status == 422
    assert json.loads(answer.body)["error"].startswith("x[1][1] (b) is 99")


def test_inputs_that_differ_in_axis_0_are_no_error_where_requests_run_alone(
    root: Path, live_server: Any, post: Callable[..., bytes]
) -> None:
    query, key = np.eye(2, dtype=np.float32), np.ones((5, 2), np.float32)
    with live_server(root, "fast", threads=1) as server:
        body = json.dumps(document(query=query, key=key)).encode()
        answer = output(server.ask(post("attend", body)))
    np.testing.assert_array_equal(answer, alone(root, "attend", query=query, key=key))


def test_golden_requests_show_that_rows_fall_away(
    tmp_path: Path, live_server: Any, onnx_file: Callable[..., Path], get: Callable[..., bytes]
) -> None:
    path = onnx_file(
        tmp_path / "filter" / "1" / "model.onnx",
        [("Less", ["x", "ten"], ["keep"]), ("Compress", ["x", "keep"], ["y"], {"axis": 0})],
        [("x", "FLOAT", ["n"])],
        [("y", "FLOAT", ["m"])],
        [numpy_helper.from_array(np.array(10, np.float32), "ten")],
    )
    told = []
    for examples in ([], [document(x=np.array([1, 20], np.float32))]):
        (path.parent / "examples.json").write_text(json.dumps(examples))
        with live_server(tmp_path, "fast", threads=1) as server:
            answer = json.loads(server.ask(get("/v2/models/filter")).body)
        told.append(answer["parameters"]["rows"])
    assert told == ["axis 0", "one per request"]


SPECS = tuple(TensorSpec(name, "FP32", (-1, 2)) for name in ("a", "b"))
OUTPUTS = (TensorSpec("y", "FP32", (-1, 2)),)
ROWS = WireSignature(Signature(SPECS, OUTPUTS, batch_axis=False, rows_axis=True), "m", "1")
WHOLE = WireSignature(Signature(SPECS, OUTPUTS, batch_axis=False), "m", "1")


@pytest.mark.parametrize(
    ("a", "b", "wire", "rows"),
    [(3, 3, ROWS, 3), (1, 1, ROWS, 1), (3, 2, ROWS, 1), (0, 0, ROWS, 1), (3, 3, WHOLE, 1)],
)
def test_rows_are_what_the_inputs_have_in_common(
    a: int, b: int, wire: WireSignature, rows: int
) -> None:
    given = document(a=np.ones((a, 2)), b=np.ones((b, 2)))
    assert build(given, wire, json_data.read).rows == rows
