"""Alerts of a real server: told by the monitor process, shown and tested from the command line."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from penstock.monitoring.alerts.alert import Alert
from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.server.cli.main import main


@pytest.fixture
def receiver():
    """``statuses`` are answered in order, the last for ever; ``bodies`` is what came."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            server.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            statuses = server.statuses
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.end_headers()

        def log_message(self, *_): ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.bodies, server.statuses = [], [200]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.slow
def test_alerts_are_told_shown_and_survive_the_monitor(serve, receiver, tmp_path, capsys):
    file = tmp_path / "alerts.toml"
    file.write_text(
        f'source = "prod"\n[sinks.hook]\nurl = "http://127.0.0.1:{receiver.server_port}"\n'
    )
    server = serve("--alerts-file", file)

    def run(*arguments):
        where = ("--admin-url", server.admin_url, "--state-dir", str(state))
        status = main([*arguments, *where])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    def metrics():
        return server.once(server.admin_url, "/metrics")[1].decode()

    state = tmp_path / "state"
    assert run("alerts", "test", "hook")[:2] == (0, "hook: delivered: 200\n")
    assert receiver.bodies[0]["type"] == "penstock.test"
    assert receiver.bodies[0]["source"] == "prod"
    status, _, err = run("alerts", "test", "pager")
    assert (status, err) == (1, "penstock: there is no sink 'pager'; there are hook, log\n")

    # An alert that is refused before the monitor is killed is told by its next life.
    receiver.statuses[:] = [500]
    alert = Alert(
        "drift", "breast-cancer", "2", "f0", "warning",
        opened=True, episode="e1", time=1.9e9, summary="f0 drifts",
    )  # fmt: skip
    AlertStore(state / "monitor" / "alerts.db").put(alert)
    server.until(lambda: len(receiver.bodies) > 1)
    server.kill("monitor")
    receiver.statuses[:] = [200]
    server.until(lambda: '"hook",status="delivered"} 2.0' in metrics())
    assert {one["id"] for one in receiver.bodies[1:]} == {"e1/opened"}

    status, out, _ = run("alerts", "--json", "--open")
    (shown,) = json.loads(out)["alerts"]
    assert (shown["name"], shown["episode"], shown["open"]) == ("drift.opened", "e1", True)
    assert {one["sink"]: one["status"] for one in shown["deliveries"]} == {
        "hook": "delivered",
        "log": "delivered",
    }
    status, out, _ = run("alerts")
    assert "f0 drifts" in out
    assert "hook delivered" in out
    assert (
        'penstock_alerts_open{kind="drift",model="breast-cancer",severity="warning"}' in metrics()
    )
    assert server.stop() == 0


@pytest.mark.slow
def test_files_that_are_damaged_later_stop_no_process(serve, receiver, tmp_path):
    alerts, tokens = tmp_path / "alerts.toml", tmp_path / "tokens.toml"
    alerts.write_text(f'[sinks.hook]\nurl = "http://127.0.0.1:{receiver.server_port}"\n')
    tokens.write_text("")
    server = serve("--alerts-file", alerts, "--tokens-file", tokens)
    alerts.write_text("nonsense")
    tokens.unlink()
    for name in ("control", "monitor"):
        server.kill(name)
    server.until(lambda: {"control", "monitor"} <= server.children().keys())
    problems = {one["path"]: one["reason"] for one in server.status()["problems"]}
    assert "the one before it holds" in problems[str(alerts)]
    assert "the tokens hold that held last" in problems[str(tokens)]
    alert = Alert(
        "drift", "breast-cancer", "2", "f0", "warning",
        opened=True, episode="e1", time=1.9e9, summary="f0 drifts",
    )  # fmt: skip
    AlertStore(tmp_path / "state" / "monitor" / "alerts.db").put(alert)
    server.until(lambda: receiver.bodies)
    assert {one["process"]: one["deaths"] for one in server.status()["processes"]} == {
        "control": 1,
        "monitor": 1,
    }


@pytest.mark.slow
def test_a_wrong_alerts_file_stops_the_start(command, tmp_path):
    file = tmp_path / "alerts.toml"
    file.write_text("[sinks.hook]\nurll = 'x'\n")
    registry = tmp_path / "registry"
    registry.mkdir()
    process = command(
        *("serve", registry, "--port", 0, "--admin-port", 0, "--run-dir", tmp_path / "run"),
        *("--alerts-file", file),
    )
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "unknown key sinks.hook.urll; did you mean url?" in err
