"""A worker that comes back takes no requests before it has its models, while another one has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from penstock.server.processes.pulse import Pulse
from penstock.server.processes.run_directory import RunDirectory
from penstock.server.worker.other_workers import another_worker_serves
from penstock.server.worker.worker import LOAD_TIMEOUT_SECONDS

pytestmark = pytest.mark.slow

#: A plug-in whose loads wait while a file is there.
PLUGIN = """
import os, time
import numpy as np
from penstock.runtimes.contract import Signature, TensorSpec

class Model:
    metadata = {}
    signature = Signature(*((TensorSpec(name, "FP32", (-1, 1)),) for name in "xy"), True)

    def execute(self, inputs, outputs):
        return [inputs[0] for _ in outputs]

    def unload(self):
        pass

class Runtime:
    platform = "held"

    def find(self, directory):
        path = directory / "model.held"
        return path if path.exists() else None

    def load(self, path, options):
        while os.path.exists(os.environ["HOLD_LOADS"]):
            time.sleep(0.02)
        return Model()
"""
BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}]})


@pytest.fixture
def hold(tmp_path, monkeypatch):
    """The file that holds loads up."""
    plugin = tmp_path / "plugin"
    info = plugin / "held_runtime-1.0.dist-info"
    info.mkdir(parents=True)
    (plugin / "held_runtime.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: held-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[penstock.runtimes]\nheld=held_runtime:Runtime\n")
    monkeypatch.setenv("PYTHONPATH", str(plugin))
    monkeypatch.setenv("HOLD_LOADS", str(tmp_path / "hold"))
    version = tmp_path / "registry" / "m" / "1"
    version.mkdir(parents=True)
    (version / "model.held").touch()
    return tmp_path / "hold"


def test_nobody_is_told_to_come_back_while_another_worker_serves(hold, request, tmp_path):
    serve = request.getfixturevalue("serve")  # it takes the environment as it is now
    server = serve("--workers", 2, registry=tmp_path / "registry", monitor=False)
    hold.touch()
    killed = server.kill("worker-0")
    server.until(lambda: server.children().get("worker-0") not in {None, killed})
    began, statuses = time.monotonic(), []
    while time.monotonic() - began < LOAD_TIMEOUT_SECONDS + 3:  # it had all this time to accept
        statuses.append(server.ask("m", BODY))
        time.sleep(0.01)  # leaves the worker that is to accept some of the machine
    assert set(statuses) == {200}
    # Where none serves, clients and probes get an answer.
    server.kill("worker-1")
    server.until(lambda: server.ask("m", BODY) == 503)
    hold.unlink()
    server.until(lambda: server.ask("m", BODY) == 200)


def test_another_worker_serves_if_it_lives_and_has_its_models(tmp_path):
    directory = RunDirectory.create(tmp_path / "run")
    directory.pulses.mkdir(exist_ok=True)
    assert not another_worker_serves(directory, "worker-0")
    pulse = Pulse.create(directory.pulse("worker-1"), 1)
    assert not another_worker_serves(directory, "worker-0")
    pulse.serve()
    assert another_worker_serves(directory, "worker-0")
    assert not another_worker_serves(directory, "worker-1")
    pulse.clear()
    assert not another_worker_serves(directory, "worker-0")
    code = (
        "import sys; from pathlib import Path; from penstock.server.processes.pulse import Pulse; "
        "Pulse.create(Path(sys.argv[1]), 1).serve()"
    )
    dead = [sys.executable, "-c", code, str(directory.pulse("worker-2"))]
    subprocess.run(dead, check=True, env=os.environ)
    assert not another_worker_serves(directory, "worker-0")
