"""Retraining in a real server: a real alert, a real receiver, and a control that is killed.

The commands are those of ``docs/retraining.md``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from penstock.monitoring.alerts.alert import Alert
from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.server.cli.main import main

EXAMPLES = Path(__file__).parents[3] / "examples" / "registry"
MODEL = "breast-cancer"
SECRET = "a-secret-that-nobody-may-see"


class Receiver(ThreadingHTTPServer):
    """Takes webhooks; `before` is called with each body before it is answered."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answering)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/train"
        self.keys = []
        self.orders = []
        self.before = lambda: None


class Answering(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.keys.append(self.headers["idempotency-key"])
        self.server.orders.append(json.loads(body)["data"])
        self.server.before()
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def receiver():
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(serve, receiver, tmp_path):
    registry = tmp_path / "models"
    shutil.copytree(EXAMPLES / MODEL / "1", registry / MODEL / "1")
    (tmp_path / "secret").write_text(SECRET)
    config = tmp_path / "penstock.toml"
    config.write_text(
        f'[[retrain]]\nmodel = "{MODEL}"\non = ["drift"]\ntarget = "webhook"\n'
        f'url = "{receiver.url}"\nsecret_file = "{tmp_path / "secret"}"\npoll_seconds = 0.2\n'
        f'export = "{tmp_path / "exports"}"\nparameters = {{ days = 30 }}\ntimeout_seconds = 1\n'
    )
    return serve("--config", config, registry=registry, monitor=False)


def retraining(server):
    return json.loads(server.once(server.admin_url, f"/admin/models/{MODEL}/retrain")[1])


def phase(server):
    last = retraining(server)["last"]
    return None if last is None else last["phase"]


def drift(server, opened):
    AlertStore(server.state_dir / "monitor" / "alerts.db").put(
        Alert("drift", MODEL, "1", "income", "critical", opened, "drift/1", 1e9, "income drifts")
    )


def test_a_drift_starts_one_run_whatever_is_killed_and_a_version_ends_it(
    server, receiver, run, tmp_path
):
    def die():
        """The request has arrived, and who sent it never learns that."""
        receiver.before = lambda: None
        os.kill(server.children()["control"], signal.SIGKILL)

    receiver.before = die
    (server.state_dir / "monitor").mkdir(exist_ok=True)
    drift(server, opened=True)
    server.until(lambda: len(receiver.keys) == 2)
    server.until(lambda: server.once(server.admin_url, "/v2/health/ready")[0] == 200)
    server.until(lambda: phase(server) == "running")
    (key,) = set(receiver.keys)
    first, second = receiver.orders
    assert first == second
    assert (first["run"], first["idempotency_key"]) == (key, key)
    assert (first["model"], first["version"], first["incident"]) == (MODEL, 1, "drift/1")
    assert first["digest"].startswith("sha256:")
    assert (first["reason"], first["parameters"]) == ("income drifts", {"days": 30})
    assert first["data"] is None  # nobody has given a label
    (one,) = retraining(server)["runs"]
    assert one["data"]["note"].startswith("no labels")
    status, _, told = run(server, "retrain", MODEL, "--reason", "I want it")
    assert status == 1
    assert f"{key} is running" in told
    _, shown, _ = run(server, "retrain", "status")
    assert key[:20] in shown.replace("\n", "")
    assert "income drifts" in shown

    # Somebody reports its end; then the alert is told, and the period forbids another one.
    body = {"succeeded": False, "reason": "no rows"}
    path = f"/admin/models/{MODEL}/retrain/{key}/end"
    client = server.browser()
    headers = {"authorization": f"Bearer {server.token}", "content-type": "application/json"}
    answers = [client.ask("POST", path, json.dumps(body), **headers)[0] for _ in range(2)]
    assert answers == [200, 409]
    server.until(lambda: open_alerts(server))
    assert f"{key} failed: reported by admin: no rows" in open_alerts(server)[0]["summary"]
    server.until(lambda: "less than a period" in retraining(server)["waits"])

    # By hand, whatever the period; the version that names the run is its result.
    status, shown, _ = run(server, "retrain", MODEL, "--reason", "another try")
    assert status == 0
    by_hand = shown.partition(";")[0]
    server.until(lambda: len(receiver.keys) == 3)
    server.until(lambda: phase(server) == "running")
    push(server, by_hand)
    server.until(lambda: phase(server) == "succeeded")
    server.until(lambda: not open_alerts(server))
    last = retraining(server)["last"]
    assert (last["result"], last["id"]) == (2, by_hand)
    check_metrics(server)
    check_records(server, key, by_hand)
    check_secret(server, tmp_path)


def open_alerts(server):
    _, body = server.once(server.admin_url, "/admin/alerts?open=true")
    return [one for one in json.loads(body)["alerts"] if one["kind"] == "retraining.failed"]


def push(server, run_id):
    model = EXAMPLES / MODEL / "2" / "model.onnx"
    arguments = ["push", server.registry, MODEL, model, "--no-load", "--data-hash", "sha256:1"]
    assert main([*map(str, arguments), "--param", f"retraining={run_id}"]) == 0


def check_metrics(server):
    metrics = server.metrics()
    ended = 'penstock_retrainings_total{{model="breast-cancer",result="{}"}}'
    assert metrics[ended.format("failed")] == 1
    assert metrics[ended.format("succeeded")] == 1
    assert metrics['penstock_retraining_running{model="breast-cancer"}'] == 0


def check_records(server, key, by_hand):
    _, body = server.once(server.admin_url, f"/admin/models/{MODEL}/history")
    records = [one for one in json.loads(body)["records"] if one["action"].startswith("retrain.")]
    told = [(one["action"], one["evidence"]["run"]) for one in reversed(records)]
    assert told == [
        ("retrain.requested", key),
        ("retrain.started", key),
        ("retrain.failed", key),
        ("retrain.requested", by_hand),
        ("retrain.started", by_hand),
        ("retrain.published", by_hand),
        ("retrain.succeeded", by_hand),
    ]
    assert records[-1]["evidence"]["incident"] == "drift/1"
    assert records[1]["evidence"]["data_hash"] == "sha256:1"
    assert records[3]["actor"].startswith("admin")


def check_secret(server, tmp_path):
    """Nothing that the server has written or told has the secret in it."""
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "secret":
            assert SECRET.encode() not in path.read_bytes(), path
    for path in ("/admin/status", "/admin/retrain", "/admin/alerts"):
        assert SECRET.encode() not in server.once(server.admin_url, path)[1]
