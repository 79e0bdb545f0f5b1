"""An alias of a real MLflow server, from the moment that it moves to the answer of its version."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

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


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    """Versions 1 to 4 of a model: both example files, twice."""
    pytest.importorskip("mlflow")
    os.environ.update(QUIET)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    made = Mlflow(tmp_path_factory.mktemp("mlflow"), port)
    files = [EXAMPLES / name / "model.onnx" for name in ("1", "2", "1", "2")]
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


def model_of(server):
    return next((one for one in status(server)["models"] if one["name"] == MODEL), {})


def answering(server):
    row = {"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [0.5] * 30}
    body = json.dumps({"inputs": [row]}).encode()
    url = f"{server.url}/v2/models/{MODEL}/infer"
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=30) as answer:
        return int(json.loads(answer.read())["model_version"])
    return None


def test_the_version_of_the_alias_answers_with_all_that_mlflow_knows(follow, mlflow, tmp_path):
    mlflow.point(1)
    with follow() as server:
        until(lambda: answering(server) == 1)
        mlflow.point(2)
        until(lambda: answering(server) == 2)
        mlflow.point(3)
        until(lambda: answering(server) == 3)
        mlflow.point(1)  # back to what is here already
        until(lambda: answering(server) == 1)
        mlflow.point(3)
        until(lambda: answering(server) == 3)
        mlflow.point(4)  # a new one, after a version was named stable
        until(lambda: answering(server) == 4)
        history = ask(server, "GET", f"/admin/models/{MODEL}/history")["records"]
    assert [one["actor"] for one in history if one["action"] == "promote"] == 3 * ["mlflow"]
    place = tmp_path / "registry" / MODEL / "2"
    manifest = json.loads((place / "manifest.json").read_text())
    assert manifest["metadata"]["mlflow.version"] == "2"
    assert manifest["run"]["commit"] == "3f2c1aa"
    assert manifest["run"]["params"] == {"learning_rate": "0.2"}
    assert manifest["metrics"] == {"auc": 0.9}
    assert json.loads((place / "examples.json").read_text())


def test_a_webhook_of_mlflow_has_the_alias_looked_at_and_a_forged_one_is_refused(
    follow, mlflow, tmp_path
):
    secret = tmp_path / "secret"
    secret.write_text("a-long-secret-of-both\n")
    mlflow.point(1)
    with follow(poll_seconds=3600, webhook_secret_file=str(secret)) as server:
        until(lambda: answering(server) == 1)
        url = f"{server.admin_url}/admin/webhooks/mlflow/{MODEL}"
        hook = mlflow.client.create_webhook(
            "penstock", url, ["model_version_alias.created"], secret="a-long-secret-of-both"
        )
        try:
            mlflow.point(2)
            until(lambda: answering(server) == 2)
        finally:
            mlflow.client.delete_webhook(hook.webhook_id)
        forged = urllib.request.Request(url, b"{}", {"x-mlflow-signature": "v1,AAAA"})
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(forged, timeout=30)


def test_a_version_that_fails_a_gate_never_answers(follow, mlflow):
    mlflow.point(1)
    with follow('[gates]\ncard = ["owner"]\n') as server:
        told = "gate card: failed: owner not given"
        until(lambda: any(told in one["reason"] for one in status(server)["problems"]))
        assert answering(server) is None


def test_an_aborted_rollout_sets_the_alias_back(follow, mlflow):
    mlflow.point(1)
    toml = 'on_push = "canary"\n[rollout]\nsteps = [10, 100]\nhold = "1h"\n'
    with follow(toml, restore_alias=True) as server:
        until(lambda: answering(server) == 1)
        mlflow.point(2)
        until(lambda: (model_of(server).get("rollout") or {}).get("phase") == "progressing")
        ask(server, "POST", f"/admin/models/{MODEL}/rollout/abort", {"reason": "worse"})
        until(lambda: mlflow.pointed() == "1")
        assert answering(server) == 1


def test_without_mlflow_the_server_starts_and_says_since_when(follow, mlflow, tmp_path):
    mlflow.point(1)
    with follow() as server:
        until(lambda: answering(server) == 1)
    with follow(uri="http://127.0.0.1:9") as server:
        assert until(lambda: answering(server)) == 1
        found = until(
            lambda: [one for one in status(server)["problems"] if "mlflow" in one["path"]]
        )
        assert found[0]["reason"].startswith("since 20")
        shutil.rmtree(tmp_path / "registry" / MODEL / "1")
        assert answering(server) == 1
