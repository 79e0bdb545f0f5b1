"""The example network in the formats of three libraries answers as its ONNX file."""

from __future__ import annotations

import csv
import json
import shutil
import urllib.request
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = ("digits-torch", "digits-openvino", "digits-litert")


@pytest.fixture(scope="module")
def url(serve, tmp_path_factory):
    root = tmp_path_factory.mktemp("networks")
    registry = shutil.copytree(EXAMPLES / "networks", root / "models")
    options = ("--allow-code", "digits-torch", "--load-timeout-seconds", "300")
    with serve(registry, root / "state", *options) as server:
        server.wait()
        yield server.url


def test_each_format_answers_as_onnxruntime(url):
    with (EXAMPLES / "data" / "digits.csv").open(newline="") as file:
        values = np.array(list(csv.reader(file))[1:], np.float32)
    rows = values[:, :-1]
    source = EXAMPLES / "registry" / "digits" / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    labels, probabilities = session.run(["label", "probabilities"], {"features": rows})
    tensor = {"name": "features", "datatype": "FP32", "shape": rows.shape, "data": rows.tolist()}
    body = json.dumps({"inputs": [tensor]}).encode()
    for name in NAMES:
        head = {"content-type": "application/json"}
        request = urllib.request.Request(f"{url}/v2/models/{name}/infer", body, head)
        with urllib.request.urlopen(request) as answer:
            outputs = {one["name"]: one["data"] for one in json.load(answer)["outputs"]}
        assert outputs["label"] == labels.tolist(), name
        found = np.reshape(outputs["probabilities"], probabilities.shape)
        np.testing.assert_allclose(found, probabilities, atol=1e-5, err_msg=name)
