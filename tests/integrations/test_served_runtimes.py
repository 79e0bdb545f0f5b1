"""One real server with a model of each runtime that `make test` does not have, asked with rows."""

from __future__ import annotations

import json
import sys
import urllib.request
import venv
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # how the tests of the runtimes make files

from test_litert import BIAS, WEIGHTS, dense
from test_openvino import WEIGHTS as IR_WEIGHTS
from test_openvino import save

ROWS = np.random.default_rng(5).random((6, 4), np.float32)
MODEL = """
import sys
import numpy as np

class Model:
    inputs = {"x": ("FP32", [-1, 4])}
    outputs = {"y": ("FP32", [-1, 1]), "home": ("BYTES", [-1])}
    batch_axis = True

    def load(self, directory):
        self.home = sys.prefix.encode()

    def predict(self, inputs):
        x = inputs["x"]
        return {"y": x.sum(axis=1, keepdims=True), "home": np.full(len(x), self.home, object)}
"""


def own_environment(place):
    """A virtual environment that has numpy, and nothing of Penstock."""
    venv.create(place, with_pip=False, symlinks=True)
    (packages,) = place.glob("lib/python*/site-packages")
    source = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (source / name).exists():
            (packages / name).symlink_to(source / name)
    return place


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(7)
    return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softmax(dim=1)).eval()


@pytest.fixture(scope="module")
def answers(serve, net, tmp_path_factory):
    """Asks the server: a model and rows give outputs by name."""
    root = tmp_path_factory.mktemp("served")
    registry = root / "models"
    homes = {name: registry / name / "1" for name in ("torch", "own", "openvino", "litert")}
    for home in homes.values():
        home.mkdir(parents=True)
    rows = torch.export.Dim("rows", min=1, max=4096)
    program = torch.export.export(net, (torch.rand(7, 4),), dynamic_shapes=({0: rows},))
    torch.export.save(program, str(homes["torch"] / "model.pt2"))
    (registry / "torch" / "model.toml").write_text("[runtime]\nbatch_axis = true\n")
    (homes["own"] / "model.py").write_text(MODEL)
    place = own_environment(root / "environment")
    (registry / "own" / "model.toml").write_text(f'[process]\ninterpreter = "{place}"\n')
    save(homes["openvino"] / "model.xml")
    (homes["litert"] / "model.tflite").write_bytes(dense())
    options = ("--settle-seconds", "0", "--allow-code", "torch, own", "--load-timeout-seconds")
    with serve(registry, root / "state", *options, "300") as server:
        server.wait()

        def ask(model, rows):
            tensor = {"name": "x" if model != "torch" else name_of_input(server.url)}
            tensor |= {"datatype": "FP32", "shape": [*rows.shape], "data": rows.tolist()}
            return outputs(server.url, model, {"inputs": [tensor]})

        yield ask, place


def name_of_input(url):
    with urllib.request.urlopen(f"{url}/v2/models/torch") as answer:
        return json.load(answer)["inputs"][0]["name"]


def outputs(url, model, body):
    head = {"content-type": "application/json"}
    request = urllib.request.Request(
        f"{url}/v2/models/{model}/infer", json.dumps(body).encode(), head
    )
    with urllib.request.urlopen(request) as answer:
        found = json.load(answer)["outputs"]
    return {one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in found}


@pytest.mark.parametrize("count", [1, 6])
def test_each_runtime_answers_as_its_library(answers, net, count):
    ask, _ = answers
    rows = ROWS[:count]
    with torch.inference_mode():
        wanted = net(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(ask("torch", rows)["output"], wanted, rtol=1e-6)
    np.testing.assert_allclose(ask("openvino", rows)["scores"], rows @ IR_WEIGHTS, rtol=1e-5)
    np.testing.assert_allclose(ask("litert", rows)["y"], rows @ WEIGHTS.T + BIAS, rtol=1e-5)
    np.testing.assert_allclose(ask("own", rows)["y"][:, 0], rows.sum(axis=1), rtol=1e-6)


def test_a_python_model_runs_in_its_own_environment(answers):
    ask, place = answers
    assert set(ask("own", ROWS)["home"].tolist()) == {str(place)}
    assert str(place) != sys.prefix
