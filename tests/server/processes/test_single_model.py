"""``penstock serve FILE``: one model, without a registry; as in docs/registry.md."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

from penstock.server.cli.single_model import is_single_model, model_name

EXAMPLES = Path(__file__).parents[3] / "examples"
ONNX = EXAMPLES / "registry" / "breast-cancer" / "1"
TREES = EXAMPLES / "trees" / "iris" / "1" / "model.ubj"


def refused(*arguments):
    """Exit status and the one line that a server says which does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "penstock.server.cli.main", "serve", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return done.returncode, line


def left():
    return {one.name for one in Path(tempfile.gettempdir()).glob("penstock-model-*")}


@pytest.mark.slow
def test_a_model_file_is_served_under_its_name_and_nothing_is_left(serve, tmp_path):
    file = tmp_path / "My model (v2).onnx"
    shutil.copy(ONNX / "model.onnx", file)
    before = left()
    server = serve(registry=file)
    server.until(lambda: server.once(server.url, "/v2/models/My-model-v2/ready")[0] == 200)
    text = "".join(server.banner)
    assert f"Penstock serves {file}" in text
    assert f"predict  {server.url}/v2/models/My-model-v2/infer" in text
    assert "TEMPORARY" not in text  # the user has chosen where state is kept
    body = {"instances": [[0.5] * 30]}
    request = urllib.request.Request(
        f"{server.url}/v1/models/My-model-v2:predict",
        json.dumps(body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert len(json.loads(answer.read())["predictions"]) == 1
    assert len(left() - before) == 1
    assert server.stop() == 0
    assert left() <= before


@pytest.mark.slow
def test_another_runtime_and_a_name_and_what_killed_servers_left(command, tmp_path):
    stale = Path(tempfile.mkdtemp(prefix="penstock-model-"))
    ports = ("--port", 0, "--admin-port", 0, "--run-dir", tmp_path / "run")
    server = command("serve", TREES, "--name", "flowers", *ports)
    banner = []
    while not banner or not banner[-1].startswith("  workers "):
        banner.append(server.stdout.readline())
        assert banner[-1], server.stderr.read()
    assert "  flowers  loading version 1\n" in banner
    assert "TEMPORARY: it ends with this server" in "".join(banner)
    assert not stale.exists()


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"no model")
    status, line = refused(file)
    assert status == 1
    assert line.startswith(f"penstock: {file}: ")


def test_a_file_that_is_not_there_is_refused_in_one_line(tmp_path):
    status, line = refused(tmp_path / "absent.onnx")
    assert status == 2
    assert "absent.onnx cannot be read: No such file" in line
    assert line.endswith("expected a directory of model directories, or one model file")


def test_a_name_is_for_one_model(tmp_path):
    status, line = refused(tmp_path, "--name", "iris")
    assert status == 2
    assert line == f"penstock: --name is for one model file, and {tmp_path} is none"


@pytest.mark.slow
def test_a_directory_as_kserve_mounts_it_is_served_and_takes_the_name_of_the_command(
    command, tmp_path
):
    mounted = tmp_path / "mnt"
    mounted.mkdir()
    shutil.copy(ONNX / "model.onnx", mounted / "fraud-2026.onnx")
    (mounted / "config.json").write_text("{}")
    ports = ("--port", 0, "--admin-port", 0, "--run-dir", tmp_path / "run")
    server = command("serve", "--single-model", mounted, "--name", "fraud", *ports)
    banner = []
    while not banner or not banner[-1].startswith("  workers "):
        banner.append(server.stdout.readline())
        assert banner[-1], server.stderr.read()
    assert "  fraud  loading version 1\n" in banner


def test_one_place_is_named(tmp_path):
    status, line = refused(tmp_path, "--single-model", tmp_path)
    assert (status, line) == (2, "penstock: expected MODELS or --single-model, not both")
    status, line = refused("--single-model", tmp_path)
    assert status == 1
    assert "expected a model file, an MLflow model" in line


def test_what_is_one_model_and_what_is_a_registry(tmp_path):
    assert is_single_model(TREES)
    assert is_single_model(ONNX)
    assert not is_single_model(EXAMPLES / "registry")
    assert not is_single_model(EXAMPLES / "registry" / "breast-cancer")
    assert not is_single_model(tmp_path)
    assert not is_single_model(tmp_path / "absent")
    (tmp_path / "model.toml").touch()
    assert not is_single_model(tmp_path)
    (tmp_path / "model.onnx").touch()
    (tmp_path / "code").mkdir()
    assert is_single_model(tmp_path)
    (tmp_path / "churn" / "1").mkdir(parents=True)  # a registry in which a file was left
    assert not is_single_model(tmp_path)
    (tmp_path / "MLmodel").touch()
    assert is_single_model(tmp_path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/fraud.onnx", "fraud"),
        ("a/größe 2.1.onnx", "gr-e-2.1"),
        ("a/..onnx", "model"),
        ("a/---.onnx", "model"),
        (f"a/{'x' * 200}.onnx", "x" * 128),
    ],
)
def test_the_name_of_a_file_becomes_that_of_the_model(path, name, tmp_path):
    file = tmp_path / path
    file.parent.mkdir()
    file.touch()
    assert model_name(file) == name


def test_the_name_of_a_directory_becomes_that_of_the_model(tmp_path):
    snapshot = tmp_path / "hub" / "models--owner--Churn.v2" / "snapshots" / "5f0b02"
    snapshot.mkdir(parents=True)
    assert model_name(snapshot) == "Churn.v2"
    assert model_name(snapshot.parents[1]) == "Churn.v2"
    (tmp_path / "churn" / "3").mkdir(parents=True)
    assert model_name(tmp_path / "churn" / "3") == "churn"
    assert model_name(tmp_path / "churn") == "churn"
