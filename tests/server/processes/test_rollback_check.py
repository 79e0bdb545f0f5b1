"""A rollback is verified on today's data: real processes, real traffic, sick versions."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from penstock.monitoring.prediction_log.answer import QueryFailed
from penstock.monitoring.prediction_log.query import query
from penstock.server.cli.main import main

pytestmark = pytest.mark.slow

MODEL = "double"
REQUESTS = 80

#: y = 2 x, and as bad as its file says from 1000 on, which only clients send.
PLUGIN = """
import json, os
import numpy as np
from penstock.runtimes.contract import ModelExecutionError, Signature, TensorSpec

class Model:
    metadata = {}

    def __init__(self, mood):
        self.mood = mood
        x, y = (TensorSpec(name, "FP32", (-1, 1)) for name in "xy")
        self.signature = Signature((x,), (y,), True)

    def execute(self, inputs, outputs):
        if inputs[0].max() >= 1000:
            if self.mood == "fails":
                raise ModelExecutionError("it will not")
            if self.mood == "dies":
                os._exit(9)
        return [inputs[0] * np.float32(3 if self.mood == "triples" else 2)]

    def unload(self):
        pass

class Runtime:
    platform = "double"

    def find(self, directory):
        path = directory / "model.double"
        return path if path.exists() else None

    def load(self, path, options):
        return Model(json.loads(path.read_text())["mood"])
"""
MOODS = {1: "well", 2: "triples", 3: "fails", 4: "dies"}


@pytest.fixture
def operator(tmp_path, monkeypatch, request):
    """A server with these versions, and the command line for it."""
    plugin = tmp_path / "plugin"
    info = plugin / "double_runtime-1.0.dist-info"
    info.mkdir(parents=True)
    (plugin / "double_runtime.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: double-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[penstock.runtimes]\ndouble=double_runtime:Runtime\n")
    monkeypatch.setenv("PYTHONPATH", str(plugin))
    registry = tmp_path / "registry"
    for version, mood in MOODS.items():
        directory = registry / MODEL / str(version)
        directory.mkdir(parents=True)
        (directory / "model.double").write_text(json.dumps({"mood": mood}))
    (registry / MODEL / "model.toml").write_text('version_policy = "all"\n')
    server = request.getfixturevalue("serve")(registry=registry)
    where = ["--admin-url", server.admin_url, "--token", server.token]

    def run(*words):
        return main([*words, *where])

    run.server, run.state = server, tmp_path / "state" / "monitor"
    return run


def asked(x):
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [x]}
    return json.dumps({"inputs": [tensor]}).encode()


def logged(state):
    try:
        return query(state, f"select count(*) from {MODEL} where version = 2", 1).rows[0][0]
    except QueryFailed:  # there is no such table yet
        return 0


def test_a_rollback_goes_on_if_the_old_version_is_valid_and_is_refused_if_it_is_not(
    operator, capsys
):
    server = operator.server

    def said():
        return " ".join(capsys.readouterr().out.split())

    # Nothing is known yet: it says so, and goes on.
    assert operator("promote", MODEL, "1") == operator("promote", MODEL, "2") == 0
    assert operator("rollback", MODEL) == 0
    assert "version 1 on today's data: unknown: the prediction log holds no request" in said()

    # The old version answers what is asked today, and otherwise than the one that serves.
    assert operator("promote", MODEL, "2") == 0
    for number in range(REQUESTS):
        assert server.ask(MODEL, asked(1000 + number % 7)) == 200
    server.until(lambda: logged(operator.state) == REQUESTS)
    said()
    assert operator("rollback", MODEL, "--reason", "it triples", "--json") == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["aliases"] == {"stable": 1}
    found = outcome["verification"]
    assert (found["state"], found["version"], found["serving"]) == ("valid", 1, 2)
    assert (found["requests"], found["rows"], found["failed"]) == (REQUESTS, REQUESTS, 0)
    assert found["compared"] == found["differing"] == REQUESTS
    assert operator("history", MODEL, "--json") == 0
    last = json.loads(capsys.readouterr().out)["records"][0]
    assert (last["action"], last["reason"]) == ("rollback", "it triples")
    assert last["evidence"]["verification"]["state"] == "valid"

    # A version that fails today is refused, on record; by force it is taken.
    assert operator("promote", MODEL, "3") == operator("promote", MODEL, "2") == 0
    said()
    assert operator("rollback", MODEL) == 1
    failure = capsys.readouterr().err
    assert "version 3 of model 'double' is not valid on today's data" in failure
    assert f"fails at {REQUESTS} of {REQUESTS} requests" in failure
    assert "--force" in failure
    assert operator("history", MODEL, "--json") == 0
    last = json.loads(capsys.readouterr().out)["records"][0]
    assert last["action"] == "rollback.refused"
    assert last["evidence"]["verification"]["failed"] == REQUESTS
    assert operator("rollback", MODEL, "--dry-run", "--json") == 1
    assert json.loads(capsys.readouterr().out)["verification"]["state"] == "invalid"
    assert server.status()["target"]["models"][MODEL]["aliases"] == {"stable": 2}
    assert operator("rollback", MODEL, "--force") == 0
    assert "stable is 3" in (forced := said())
    assert "version 3 on today's data: skipped: forced" in forced

    # One that takes its process along harms nobody, and no process is left over.
    assert operator("promote", MODEL, "4") == operator("promote", MODEL, "2") == 0
    said()
    assert operator("rollback", MODEL, "--dry-run") == 1
    assert "version 4 on today's data: invalid: over today's requests crash" in said()
    assert server.ask(MODEL, asked(1000)) == 200
    processes = server.children()
    control = processes["control"]
    server.until(lambda: not Path(f"/proc/{control}/task/{control}/children").read_text())
    # By this signal an event loop learns of such an end; the shadow process needs it, too.
    for pid in processes.values():
        status = Path(f"/proc/{pid}/status").read_text()
        blocked = int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16)
        assert not blocked >> (signal.SIGCHLD - 1) & 1
