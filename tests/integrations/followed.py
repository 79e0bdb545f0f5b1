"""A tracking server of MLflow, a server that follows it, and what tests ask of both."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from cryptography.fernet import Fernet

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples" / "registry" / "breast-cancer"
PROGRAMS = Path(sys.prefix) / "mlflow" / "bin"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
MODEL = "breast-cancer"
#: The goal is 5 s by webhook; another job may have the processors.
LIMIT_SECONDS = 240.0


def until(condition, seconds=LIMIT_SECONDS):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.1)
    return found


class Mlflow:
    """A running tracking server, and its client."""

    def __init__(self, place, port):
        from mlflow import MlflowClient

        self.place, self.port = place, port
        self.uri = f"http://127.0.0.1:{port}"
        self.client = MlflowClient(self.uri, self.uri)

    @contextmanager
    def running(self):
        environ = {
            **os.environ,
            **QUIET,
            "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": Fernet.generate_key().decode(),
            "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
            "MLFLOW_WEBHOOK_CACHE_TTL": "1",  # else a new webhook is known after a minute
            "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
        }
        command = [
            *(PROGRAMS / "python", "-m", "mlflow", "server", "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{self.place / 'mlflow.db'}"),
            *("--artifacts-destination", self.place / "artifacts"),
            *("--host", "127.0.0.1", "--port", str(self.port)),
        ]
        with (
            (self.place / "log").open("w") as log,
            subprocess.Popen(
                command, stdout=log, stderr=log, env=environ, start_new_session=True
            ) as process,
        ):
            try:
                until(lambda: answers(f"{self.uri}/health"))
                yield self
            finally:
                os.killpg(process.pid, 9)

    def again(self, version):
        """Register the files of a version once more; gives the number of the new version."""
        return self.client.copy_model_version(f"models:/{MODEL}/{version}", MODEL).version

    def point(self, version, alias="champion"):
        self.client.set_registered_model_alias(MODEL, alias, str(version))

    def pointed(self, alias="champion"):
        return self.client.get_model_version_by_alias(MODEL, alias).version


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def contrary(path):
    """A model that takes each ill for a healthy one, and each healthy for an ill one."""
    model = onnx.load(EXAMPLES / "1" / "model.onnx")
    for node in model.graph.node:
        node.output[:] = ["right" if one == "label" else one for one in node.output]
    one = onnx.numpy_helper.from_array(np.int64(1), "one")
    model.graph.initializer.append(one)
    model.graph.node.append(onnx.helper.make_node("Sub", ["one", "right"], ["label"]))
    onnx.save(model, path)
    return path


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory):
    """Versions 1 to 4 of a model: both example files, twice; version 5 is always wrong."""
    pytest.importorskip("mlflow")
    os.environ.update(QUIET)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    made = Mlflow(tmp_path_factory.mktemp("mlflow"), port)
    files = [EXAMPLES / name / "model.onnx" for name in ("1", "2", "1", "2")]
    files.append(contrary(made.place / "contrary.onnx"))
    with made.running():
        command = [PROGRAMS / "python", HERE / "mlflow_server" / "register.py", made.uri, MODEL]
        subprocess.run([*command, *files], check=True, env={**os.environ, **QUIET})
        yield made


@pytest.fixture
def follow(serve, mlflow, tmp_path):
    """A server that follows the alias; `options` are those of the alias, `toml` the model's."""

    @contextmanager
    def start(toml="", **options):
        registry = tmp_path / "registry"
        (registry / MODEL).mkdir(parents=True, exist_ok=True)
        if toml:
            (registry / MODEL / "model.toml").write_text(toml)
        said = {"uri": mlflow.uri, "model": MODEL, "poll_seconds": 0.5, **options}
        lines = [f"{key} = {json.dumps(one)}" for key, one in said.items()]
        config = tmp_path / "penstock.toml"
        config.write_text("settle_seconds = 0\n[follow.mlflow]\n" + "\n".join(lines) + "\n")
        with serve(registry, tmp_path / "state", "--config", config) as server:
            server.token = (tmp_path / "state" / "admin-token").read_text().strip()
            yield server

    return start


def ask(server, method, path, body=None):
    request = urllib.request.Request(server.admin_url + path, method=method)
    request.add_header("authorization", f"Bearer {server.token}")
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, json.dumps(body or {}).encode(), 60) as answer:
        return json.loads(answer.read())


def status(server):
    with urllib.request.urlopen(f"{server.admin_url}/admin/status", timeout=30) as answer:
        return json.loads(answer.read())


def model_of(server, model=MODEL):
    return next((one for one in status(server)["models"] if one["name"] == model), {})


def answering(server, model=MODEL):
    row = {"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [0.5] * 30}
    body = json.dumps({"inputs": [row]}).encode()
    url = f"{server.url}/v2/models/{model}/infer"
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=30) as answer:
        return int(json.loads(answer.read())["model_version"])
    return None
