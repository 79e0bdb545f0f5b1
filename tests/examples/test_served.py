"""The example models behind a real ``penstock serve``: same answers, same accuracy."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

MODELS = ("breast-cancer/1", "breast-cancer/2", "digits/1")


@pytest.fixture(scope="module")
def connection(demo: Any, examples: Path) -> Iterator[http.client.HTTPConnection]:
    """A connection to a server of the example registry."""
    with demo.served(examples / "registry", demo.free_port(0)) as server:
        server.wait_until_ready()
        with closing(http.client.HTTPConnection(demo.HOST, server.port, timeout=60)) as connection:
            yield connection


def infer(connection: http.client.HTTPConnection, name: str, rows: Any) -> dict[str, Any]:
    model, _, version = name.partition("/")
    tensor = {"name": "features", "datatype": "FP32", "shape": rows.shape, "data": rows.tolist()}
    path = f"/v2/models/{model}/versions/{version}/infer"
    connection.request("POST", path, json.dumps({"inputs": [tensor]}))
    response = connection.getresponse()
    content = response.read()
    assert response.status == 200, content
    answer = json.loads(content)
    assert (answer["model_name"], answer["model_version"]) == (model, version)
    return {
        output["name"]: np.array(output["data"]).reshape(output["shape"])
        for output in answer["outputs"]
    }


def held_out(demo: Any, name: str) -> tuple[Any, Any]:
    features, truth = zip(*demo.held_out(name.partition("/")[0]), strict=True)
    return np.array(features, dtype=np.float32), np.array(truth)


def onnx(examples: Path, name: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as served; more threads add the trees in another order
    path = examples / "registry" / name / "model.onnx"
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", MODELS)
def test_answers_are_exactly_those_of_onnxruntime(
    connection: http.client.HTTPConnection, demo: Any, examples: Path, name: str
) -> None:
    rows, _ = held_out(demo, name)
    session = onnx(examples, name)
    for part in (rows, rows[:1], rows[7:8], rows[3:20]):
        label, probabilities = session.run(["label", "probabilities"], {"features": part})
        answer = infer(connection, name, part)
        np.testing.assert_array_equal(answer["label"], label)
        np.testing.assert_array_equal(answer["probabilities"].astype(np.float32), probabilities)


@pytest.mark.parametrize("name", MODELS)
def test_served_accuracy_is_what_scikit_learn_said(
    connection: http.client.HTTPConnection, demo: Any, examples: Path, name: str
) -> None:
    rows, truth = held_out(demo, name)
    said = onnx(examples, name).get_modelmeta().custom_metadata_map["held_out_accuracy"]
    labels = [infer(connection, name, row[None])["label"][0] for row in rows]
    assert np.mean(labels == truth) == float(said)
