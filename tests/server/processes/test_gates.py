"""Gates of a running server: real pushes, real reports, and who may let a version in."""

from __future__ import annotations

import dataclasses
import getpass
import json
import shutil
from pathlib import Path

import pytest

from penstock.server.cli.main import main
from penstock.server.config.config import load_config
from penstock.server.config.model_config import parse_model_config
from penstock.server.gates.gate_order import GatedVersion, GateOrder
from penstock.server.gates.gate_process import gate_report
from penstock.server.registry.manifest import encode_manifest, parse_manifest

from .conftest import until

pytestmark = pytest.mark.slow

MODEL = "breast-cancer"
ROWS = Path(__file__).resolve().parents[3] / "examples" / "data" / f"{MODEL}.csv"
GATES = """\
[gates]
card = ["owner"]
schema = true
approval = {approval}
[gates.evaluation]
data = "rows.csv"
label = "{label}"
metric = "accuracy"
least = 0.9
margin = -0.05
"""
MODEL_PY = """\
import os
class Model:
    inputs = {{"x": ("FP32", [-1, 2])}}
    outputs = {{"y": ("FP32", [-1, 2])}}
    batch_axis = True
    def load(self, directory):
        {load}
    def predict(self, inputs):
        return {{"y": inputs["x"]}}
"""


@pytest.fixture
def registry(tmp_path):
    home = tmp_path / "registry" / MODEL
    home.mkdir(parents=True)
    shutil.copy(ROWS, home / "rows.csv")
    set_gates(tmp_path / "registry")
    return tmp_path / "registry"


def set_gates(registry, approval="false"):
    label = ROWS.read_text().splitlines()[0].rsplit(",", 1)[1]
    (registry / MODEL / "model.toml").write_text(GATES.format(approval=approval, label=label))


@pytest.fixture
def push(capsys, registry, examples_registry, monkeypatch, tmp_path):
    """Publish the next version of one of the two example files."""
    monkeypatch.setenv("PENSTOCK_RUN_DIR", str(tmp_path / "run"))

    def one(source, *options):
        path = examples_registry / MODEL / str(source) / "model.onnx"
        assert main(["push", str(registry), MODEL, str(path), *options]) == 0
        capsys.readouterr()

    return one


def gates_of(run, server, version):
    status, shown, _ = run(server, "gate", "show", MODEL, version, "--json")
    return json.loads(shown) if status == 0 else {"state": "not seen"}


def until_told(run, server, version, state):
    until(lambda: gates_of(run, server, version)["state"] == state)
    return gates_of(run, server, version)


def answering(server):
    models = server.status()["models"]
    return models[0]["default"] if models else None


def as_other(server, path, **body):
    """The command of another person, with the same token."""
    client = server.client()
    client.connection.close()
    client = type(client)(server.admin_url)
    content = json.dumps({"by": "ana", **body})
    status, answer = client.request("POST", path, content, token=server.token)
    client.close()
    return status, json.loads(answer)


def replace(path, content):
    path.unlink()
    path.write_bytes(content)


def with_other_files(content):
    manifest = parse_manifest(content)
    first, *rest = manifest.files
    files = (dataclasses.replace(first, sha256="0" * 64), *rest)
    return encode_manifest(dataclasses.replace(manifest, files=files, pushed_by="nobody"))


def test_a_version_that_fails_a_gate_is_held_by_name_until_it_is_let_in(
    serve, registry, push, run, tmp_path
):
    push(1, "--card", "owner=risk")
    server = serve(registry=registry)
    until(lambda: answering(server) == 1)
    assert gates_of(run, server, 1)["report"]["passed"]

    push(2)  # without an owner
    held = until_told(run, server, 2, "held")
    assert "gate card: failed: owner not given" in held["reason"]
    assert held["report"]["incumbent"] == 1
    verdicts = {one["gate"]: one["verdict"] for one in held["report"]["results"]}
    assert verdicts == {
        "card": "failed", "schema": "passed", "evaluation": "passed", "comparison": "passed",
    }  # fmt: skip
    assert answering(server) == 1
    assert "gate card: failed" in run(server, "status")[1]
    status, _, told = run(server, "load", MODEL, 2)
    assert (status, "gate card: failed" in told) == (1, True)
    status, _, told = run(server, "canary", "start", MODEL, 2)
    assert (status, "gate card: failed" in told) == (1, True)

    assert run(server, "gate", "override", MODEL, 2)[0] == 1  # without a reason
    page = tmp_path / "gates.html"
    assert run(server, "gate", "show", MODEL, 2, "-o", page)[0] == 0
    assert "owner not given" in page.read_text()
    assert run(server, "gate", "override", MODEL, 2, "--reason", "card comes later")[0] == 0
    until(lambda: answering(server) == 2)
    history = run(server, "history", MODEL)[1]
    assert "gates.override" in history
    assert "card comes later" in history
    assert main(["audit", "verify", "--state-dir", str(tmp_path / "state")]) == 0


def test_a_version_is_approved_by_another_person_for_its_files_and_serves_on_after_a_restart(
    serve, registry, push, run
):
    set_gates(registry, approval="true")
    push(1, "--card", "owner=risk")
    server = serve(registry=registry, wait=False)
    held = until_told(run, server, 1, "held")
    assert "gate approval: nobody has approved it" in held["reason"]
    assert held["pushed_by"] == getpass.getuser()

    status, _, told = run(server, "gate", "approve", MODEL, 1)
    assert (status, "another person has to approve it" in told) == (1, True)
    status, _, _ = run(server, "gate", "override", MODEL, 1, "--reason", "I can")
    assert status == 1
    path = f"/admin/models/{MODEL}/versions/1/gates/approve"
    status, told = as_other(server, path, digest="sha256:00")
    assert (status, "look again" in told["error"]) == (409, True)
    manifest = registry / MODEL / "1" / "manifest.json"
    pushed = manifest.read_bytes()
    replace(manifest, with_other_files(pushed))  # so its `pushed_by` says nothing of what is held
    status, told = as_other(server, path, digest=held["digest"])
    assert (status, "the registry has other files" in told["error"]) == (409, True)
    replace(manifest, pushed)
    status, told = as_other(server, path, digest=held["digest"])
    assert (status, told["approvals"][0]["by"]) == (200, "admin/ana")
    until(lambda: answering(server) == 1)

    server.stop()
    server = serve(registry=registry)
    assert answering(server) == 1
    assert gates_of(run, server, 1)["state"] == "let in"


def test_a_model_that_never_ends_or_kills_its_process_fails_its_gates_in_time(tmp_path):
    home = tmp_path / "registry" / "m"
    (home / "1").mkdir(parents=True)
    config = load_config({"registry": str(home.parent), "allow_code": "m"}, {})
    gates = {"timeout_seconds": 3, "robustness": ["shuffled"]}
    settings = parse_model_config({"gates": gates, "isolation": "worker"}, "model.toml")
    order = GateOrder("m", home, settings, GatedVersion(1, home / "1", "sha256:1"))
    ends = ("while True: pass", "gave no answer for 3 s"), ("os._exit(3)", "status 3")
    for load, told in ends:
        code = MODEL_PY.format(load=load)
        (home / "1" / "model.py").write_text(code)
        (result,) = gate_report(config, order).results
        assert (result.gate, result.verdict) == ("process", "failed")
        assert told in result.reason


def test_gates_run_without_a_server(registry, push, capsys, tmp_path):
    push(1)
    page = tmp_path / "gates.html"
    assert main(["gate", "run", str(registry), MODEL, "1", "-o", str(page)]) == 1
    assert "owner not given" in capsys.readouterr().out
    assert "owner not given" in page.read_text()
    push(2, "--card", "owner=risk")
    assert main(["gate", "run", str(registry), MODEL, "2", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["passed"], report["incumbent"]) == (True, 1)


def test_the_console_shows_the_gates_and_lets_a_version_in(serve, registry, push):
    push(1)
    server = serve(registry=registry, wait=False)
    visitor, page = server.browser(), f"/console/models/{MODEL}/gates"
    until(lambda: "owner not given" in visitor.ask("GET", page)[2])
    assert "Let version 1 in" not in visitor.ask("GET", page)[2]
    visitor.log_in(server.token)
    shown = visitor.ask("GET", page)[2]
    assert "Let version 1 in" in shown
    fields = {"csrf": visitor.csrf(page), "digest": shown.partition("sha256:")[2][:64]}
    fields["digest"] = f"sha256:{fields['digest']}"
    path = f"/console/models/{MODEL}/versions/1/gates/override"
    status, headers, _ = visitor.send(path, reason="card comes later", **fields)
    assert (status, headers["location"]) == (303, page)
    assert visitor.notice(page) == "Version 1 is let in."
    until(lambda: answering(server) == 1)
