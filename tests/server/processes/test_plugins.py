"""Plug-ins that misbehave around a load, in a real server: nobody else notices."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
from urllib.parse import urlsplit

import pytest

PLUGIN = '''
import json
import numpy as np
from penstock.runtimes.contract import Signature, TensorSpec


class Panic(BaseException):
    """As native libraries have it."""


RAISED = {
    "RuntimeError": RuntimeError("unloading failed"),
    "SystemExit": SystemExit(3),
    "StopIteration": StopIteration(),
    "Panic": Panic("unwinding"),
}


def raise_if(wanted, moods):
    if moods.get(wanted):
        raise RAISED[moods[wanted]]


class Model:
    metadata = {}
    signature = Signature(
        (TensorSpec("x", "FP32", (-1, 1)),), (TensorSpec("y", "FP32", (-1, 1)),), batch_axis=True
    )

    def __init__(self, moods):
        self.moods = moods

    def execute(self, inputs, outputs):
        x = inputs[0]
        if (x == 13).any():
            raise_if("execute", self.moods)
        if (x == 14).any():
            return [x.astype(np.float64)]
        return [2 * x]

    def unload(self):
        raise_if("unload", self.moods)


class Runtime:
    platform = "moods"

    def find(self, directory):
        path = directory / "model.moods"
        return path if path.exists() else None

    def load(self, path, options):
        moods = json.loads(path.read_text())
        raise_if("load", moods)
        return Model(moods)
'''
TENSOR = {"name": "x", "shape": [1, 1], "datatype": "FP32"}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Installs the plug-in for the processes of this test; ask for it before `serve`."""
    place = tmp_path / "site"
    info = place / "moods_runtime-1.0.dist-info"
    info.mkdir(parents=True)
    (place / "moods_runtime.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moods-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[penstock.runtimes]\nmoods=moods_runtime:Runtime\n")
    monkeypatch.setenv("PYTHONPATH", str(place))


@pytest.fixture
def registry(tmp_path):
    root = tmp_path / "registry"
    root.mkdir()
    return root


def add(registry, model, **moods):
    draft = registry / f".{model}"
    (draft / "1").mkdir(parents=True)
    (draft / "1" / "model.moods").write_text(json.dumps(moods))
    draft.rename(registry / model)


def states(server):
    """State and reason by model, as the worker has them."""
    (worker,) = server.status()["workers"] or [{"models": []}]
    return {one["name"]: (one["state"], one["reason"]) for one in worker["models"]}


def predict(connection, model, value):
    body = json.dumps({"inputs": [{**TENSOR, "data": [value]}]}).encode()
    headers = {"content-type": "application/json"}
    connection.request("POST", f"/v2/models/{model}/infer", body, headers)
    response = connection.getresponse()
    found = json.loads(response.read())
    if response.status != 200:
        return response.status, found["error"]
    return 200, found["outputs"][0]["data"][0]


def test_whatever_a_plug_in_raises_at_load_run_and_unload_ends_there(site, serve, registry):
    kinds = ("RuntimeError", "SystemExit", "StopIteration", "Panic")
    for kind in kinds:
        add(registry, f"load-{kind.lower()}", load=kind)
        add(registry, f"run-{kind.lower()}", execute=kind, unload=kind)
    server = serve("--load-trials", "true", "--workers", 1, registry=registry, monitor=False)
    # It logs more than a pipe holds.
    threading.Thread(target=server.process.stderr.read, daemon=True).start()
    worker = server.children()["worker-0"]
    found = states(server)
    for kind in kinds:
        state, reason = found[f"load-{kind.lower()}"]
        assert state == "FAILED"
        assert kind in reason or reason == "unloading failed"
    parts = urlsplit(server.url)
    client = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    for _ in range(3):
        for kind in kinds:
            model = f"run-{kind.lower()}"
            assert predict(client, model, 4.0) == (200, 8.0)
            status, error = predict(client, model, 13.0)
            assert (status, kind in error) == (500, True), error
            status, error = predict(client, model, 14.0)
            assert (status, "output 'y' of the model has dtype float64" in error) == (500, True)
            assert predict(client, model, 5.0) == (200, 10.0)
    for kind in kinds:
        shutil.rmtree(registry / f"run-{kind.lower()}")
    add(registry, "next")
    server.until(lambda: states(server).get("next", ("",))[0] == "READY")
    server.until(lambda: states(server)["run-panic"][0] == "UNLOADED")
    server.until(lambda: server.status()["converged"])
    found = states(server)
    for kind in kinds:
        state, reason = found[f"run-{kind.lower()}"]
        assert state == "UNLOADED"
        assert reason.startswith("its runtime failed to unload it: ")
        assert kind in reason
    assert predict(client, "next", 6.0) == (200, 12.0)
    assert server.children()["worker-0"] == worker
    metrics = server.metrics()
    assert not [name for name, value in metrics.items() if "in_flight" in name and value]
    assert metrics['penstock_process_restarts_total{process="worker-0"}'] == 0
    client.close()
    assert server.stop() == 0
