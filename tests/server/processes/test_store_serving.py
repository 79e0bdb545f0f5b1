"""``penstock serve s3://...``: a registry in an object store, also while the store is down.

The commands are those of docs/registry.md.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MODEL = ROOT / "examples" / "registry" / "breast-cancer" / "1" / "model.onnx"
URL = "s3://models/registry"
COMMAND = (sys.executable, "-m", "penstock.server.cli.main", "push")
pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(monkeypatch):
    path = ROOT / "tests" / "server" / "store" / "bucket.py"
    spec = importlib.util.spec_from_file_location("bucket", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.Bucket()
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


def push(*options, name="bc", model=MODEL):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "penstock.server.cli.main",
            "push",
            URL,
            name,
            *filter(None, [model]),
            *options,
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def default(server, name="bc"):
    found = {one["name"]: one["default"] for one in server.status()["models"]}
    return found.get(name)


def problem(server):
    return next((one for one in server.status()["problems"] if one["path"] == URL), None)


def test_a_push_is_served_and_the_server_starts_and_goes_on_while_the_store_is_down(
    bucket, serve, tmp_path, monkeypatch
):
    monkeypatch.setenv("PENSTOCK_RUN_DIR", str(tmp_path / "run"))  # for the pushes
    assert push("--no-load")[0] == 0
    server = serve("--store-poll-seconds", 0.2, registry=URL)
    assert server.banner[0] == f"Penstock serves {URL}\n"
    server.until(lambda: default(server) == 1)
    assert server.status()["registry"] == URL

    status, out, _ = push("--json")
    assert (status, json.loads(out)["path"], json.loads(out)["same_as"]) == (0, f"{URL}/bc/2", 1)
    assert "server option" in json.loads(out)["traffic"], "the server that runs here is found"
    server.until(lambda: default(server) == 2)

    bucket.down = True
    server.until(lambda: problem(server))
    assert "fails since " in problem(server)["reason"]
    assert "the store answers 503" in problem(server)["reason"]
    assert server.ask("bc", json.dumps(infer()).encode()) == 200
    status, out, said = push()
    assert (status, out) == (1, "")
    assert f"{URL}: cannot read penstock-index.json: the store answers 503 SlowDown" in said
    server.kill("control")
    server.until(lambda: default(server) == 2)
    assert server.stop() == 0

    server = serve("--store-poll-seconds", 0.2, registry=URL)
    server.until(lambda: default(server) == 2)
    server.until(lambda: problem(server))
    assert "what was fetched before is served" in problem(server)["reason"]
    bucket.down = False
    assert push("--no-load")[0] == 0
    server.until(lambda: default(server) == 3)
    assert problem(server) is None
    assert server.stop() == 0
    shown = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not [path for path in shown if b"top-secret-key" in path.read_bytes()]


def infer():
    data = {"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [0.5] * 30}
    return {"inputs": [data]}


PIPELINE = """
[[steps]]
name = "first"
model = "bc"
version = 1
inputs = {features = "request.features"}
[[steps]]
name = "second"
model = "bc"
inputs = {features = "request.features"}
[outputs]
label = "first.label"
other = "second.label"
"""


def test_a_pipeline_in_a_store_is_pinned_checked_gated_and_served(bucket, serve, tmp_path):
    file = tmp_path / "pipeline.toml"
    file.write_text(PIPELINE)
    assert "a model of the registry" in push(name="two", model=file)[2]
    for _ in range(2):
        assert push("--no-load")[0] == 0
    bucket.objects["registry/two/model.toml"] = b'[gates]\ncard = ["owner"]\n'
    assert push("--card", "owner=me", name="two", model=file)[0] == 0
    lock = json.loads(bucket.objects["registry/two/1/pipeline.lock.json"])
    assert [one["version"] for one in lock["steps"]] == [1, 2]
    assert "signature" in json.loads(bucket.objects["registry/two/1/manifest.json"])
    server = serve("--store-poll-seconds", 0.2, registry=URL)
    server.until(lambda: default(server, "two") == 1)
    assert server.ask("two", json.dumps(infer()).encode()) == 200
    assert server.stop() == 0


def test_a_store_that_refuses_the_credentials_ends_the_start_with_one_line(
    bucket, command, tmp_path
):
    bucket.faults = lambda *_: "InvalidAccessKeyId"
    ports = ("--port", "0", "--admin-port", "0", "--state-dir", str(tmp_path / "state"))
    process = command("serve", URL, *ports)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    (line,) = [one for one in said.splitlines() if "credentials are refused" in one]
    assert "InvalidAccessKeyId" in line
    assert "AWS_SECRET_ACCESS_KEY" in line
    assert "Traceback" not in said
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in said


def test_a_first_start_waits_for_a_store_that_is_down(bucket, serve):
    bucket.down = True
    server = serve("--store-poll-seconds", 0.2, registry=URL, wait=False)
    server.until(lambda: server.once(server.admin_url, "/v2/health/live")[0] == 200)
    server.until(lambda: problem(server))
    assert server.once(server.admin_url, "/v2/health/ready")[0] == 503
    bucket.down = False
    assert push("--no-load")[0] == 0
    server.until(lambda: default(server) == 1)
    assert server.stop() == 0


def test_a_registry_on_a_web_server_is_read_only(bucket, serve):
    assert push("--no-load")[0] == 0
    web = f"{bucket.url}/models/registry"
    server = serve("--store-poll-seconds", 0.2, registry=web)
    server.until(lambda: default(server) == 1)
    assert push("--no-load")[0] == 0
    server.until(lambda: default(server) == 2)
    assert server.stop() == 0
    done = subprocess.run(
        [sys.executable, "-m", "penstock.server.cli.main", "push", web, "bc", MODEL],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, "is read-only" in done.stderr) == (2, True)


def test_a_version_that_was_uploaded_by_hand_is_named_and_served_when_somebody_adopts_it(
    bucket, serve
):
    """Also where an index says nothing of it, and not a half one."""
    assert push("--no-load")[0] == 0
    content = MODEL.read_bytes()
    bucket.objects["registry/bc/2/model.onnx"] = content[: len(content) // 2]
    bucket.objects["registry/bc/2/notes.txt"] = b"not of the model"
    adopt = ("--adopt", "--number", "2")
    status, _, said = push(*adopt, model=None)
    assert (status, "model.onnx" in said) == (1, True)
    bucket.objects["registry/bc/2/model.onnx"] = content
    server = serve("--store-poll-seconds", 0.2, registry=URL)
    server.until(lambda: default(server) == 1)
    status, out, _ = push(*adopt, "--json", model=None)
    assert (status, json.loads(out)["version"]) == (0, 2)
    server.until(lambda: default(server) == 2)
    manifest = json.loads(bucket.objects["registry/bc/2/manifest.json"])
    assert [one["path"] for one in manifest["files"]] == ["model.onnx"]
    assert manifest["signature"]
    assert server.stop() == 0
    for options, told in (
        (adopt, "has a manifest.json"),
        (("--adopt", "--number", "9"), "there is nothing"),
        (("--adopt",), "--adopt needs --number N"),
    ):
        status, _, said = push(*options, model=None)
        assert status != 0
        assert told in said
