"""Rollouts under way: real servers, real traffic, a candidate that is well or is not."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from urllib.parse import urlsplit

import numpy as np
import pytest

from penstock.server.cli.main import main

pytestmark = pytest.mark.slow

MODEL = "double"
PATH = f"/admin/models/{MODEL}"

#: A plug-in as somebody might install it: y = 2 x, and as bad as its file says from 1000 on, which
#: only clients send.
PLUGIN = """
import json, os, time
import numpy as np
from penstock.runtimes.contract import ModelExecutionError, Signature, TensorSpec

class Model:
    metadata = {}

    def __init__(self, mood):
        self.mood = mood
        x, y = (TensorSpec(name, "FP32", (-1, 1)) for name in "xy")
        if self.mood.startswith("class"):
            y = TensorSpec("y", "INT64", (-1, 1))
        self.signature = Signature((x,), (y,), True)

    def execute(self, inputs, outputs):
        if inputs[0].max() >= 1000:
            if self.mood == "fails":
                raise ModelExecutionError("it will not")
            if self.mood == "dies":
                os._exit(9)
            if self.mood == "slow":
                time.sleep(0.3)
        if self.mood.startswith("class"):  # says so of every row
            return [np.full(inputs[0].shape, int(self.mood[-1]), np.int64)]
        if self.mood == "constant":
            return [np.full_like(inputs[0], 7)]
        if self.mood == "shifted":
            return [inputs[0] * np.float32(2) + np.float32(0.5)]
        return [inputs[0] * np.float32(2)]

    def unload(self):
        pass

class Runtime:
    platform = "double"

    def find(self, directory):
        path = directory / "model.double"
        return path if path.exists() else None

    def load(self, path, options):
        mood = json.loads(path.read_text())["mood"]
        if mood == "late":
            time.sleep(3)
        return Model(mood)
"""
BODY = json.dumps(
    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1000]}]}
).encode()
QUICK = {"hold": 0.2, "min_requests": 10, "max_bad_percent": 60, "watch": 0, "warm_up": 0}


class Traffic:
    """Clients that ask the default all the time."""

    def __init__(self, url, clients=2):
        self.url = url
        self.answers = []
        self.broken = 0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def versions(self):
        return {version for _, version, _ in self.answers}

    def statuses(self):
        return {status for status, _, _ in self.answers}

    def _run(self):
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        headers = {"content-type": "application/json"}
        while not self._over.wait(0.005):  # leaves the server most of the machine
            try:
                connection.request("POST", f"/v2/models/{MODEL}/infer", BODY, headers)
                answer = connection.getresponse()
                answer.read()
                version = answer.headers.get("x-model-version")
                self.answers.append((answer.status, version, time.time()))
            except (OSError, http.client.HTTPException):
                self.broken += 1
                connection.close()
        connection.close()


class Operator:
    def __init__(self, server, state):
        self.server = server
        self.token = (state / "admin-token").read_text().strip()

    def ask(self, method, path, body=None, token=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server.admin_url + path, data, method=method)
        request.add_header("content-type", "application/json")
        request.add_header("authorization", f"Bearer {token or self.token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def post(self, path, token=None, **body):
        return self.ask("POST", f"{PATH}{path}", body, token)

    def start(self, version=2, token=None, **terms):
        status, outcome = self.post("/rollout", token, version=version, **{**QUICK, **terms})
        assert status == 200, outcome
        return outcome["rollout"]

    def rollout(self):
        return self.ask("GET", f"{PATH}/rollout")[1]

    def report(self):
        return self.ask("GET", f"{PATH}/rollout/report")[1]

    def until(self, condition):
        return self.server.until(lambda: self.answers() and condition(self.rollout()))

    def answers(self):
        try:
            return self.ask("GET", "/v2/health/live")[0] == 200
        except OSError:
            return False

    def actions(self):
        """What happened to the rollout: action and share, oldest first."""
        return [
            (one["action"].removeprefix("rollout."), one["percent"])
            for one in self.report()["timeline"]
        ]

    def kill(self):
        """Kill control, wait for the next one; the rollout before, and as the next one has it."""
        before = self.rollout()
        self.server.kill("control")
        self.server.until(self.answers)
        after = self.rollout()
        assert after["id"] == before["id"]
        return before, after

    def stable(self):
        return self.server.status()["target"]["models"][MODEL]["aliases"]["stable"]

    def split(self):
        return self.rollout()["percent"]


@pytest.fixture
def begin(tmp_path, monkeypatch, request):
    """Start a server with version 1, which is stable, and version 2 with this mood."""
    plugin = tmp_path / "plugin"
    info = plugin / "double_runtime-1.0.dist-info"
    info.mkdir(parents=True)
    (plugin / "double_runtime.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: double-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[penstock.runtimes]\ndouble=double_runtime:Runtime\n")
    monkeypatch.setenv("PYTHONPATH", str(plugin))
    serve = request.getfixturevalue("serve")
    registry = tmp_path / "registry"

    def start(mood="well", *options):
        first = "class 1" if mood.startswith("class") else "well"
        for version, how in ((1, first), (2, mood), (3, "well")):
            directory = registry / MODEL / str(version)
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "model.double").write_text(json.dumps({"mood": how}))
        server = serve("--settle-seconds", 0, "--sample-rate", 0, *options, registry=registry)
        operator = Operator(server, tmp_path / "state")
        if operator.server.status()["generation"] == 0:
            status, outcome = operator.post("/versions/1/promote")
            assert status == 200, outcome
        return operator

    return start


def test_a_healthy_candidate_gets_more_and_more_and_is_stable_in_the_end(begin, tmp_path, capsys):
    operator = begin("well", "--workers", 2)
    where = ["--admin-url", operator.server.admin_url, "--token", operator.token]
    with Traffic(operator.server.url) as traffic:
        terms = ["--steps", "5,50,100", "--hold", "200ms", "--min-requests", "10"]
        terms += ["--max-bad-percent", "60", "--watch", "0"]
        plan = ["canary", "plan", MODEL, "2", *terms, "--failed-percent", "1", "--json", *where]
        assert main(plan) == 0
        planned = json.loads(capsys.readouterr().out)
        assert planned["traffic"]["requests_per_second"] > 0
        assert planned["traffic"]["failed"] == 0.01
        assert [step["percent"] for step in planned["steps"]] == [5, 50]
        assert main(["rollout", "status", *where]) == 0
        assert "no rollout is in progress" in capsys.readouterr().out
        assert main(["canary", "start", MODEL, "2", *terms, *where]) == 0
        said = capsys.readouterr().out
        assert "failures: rolled back from" in said
        assert "canary of double version 2 is progressing at 5 %" in said
        assert main(["status", *where]) == 0
        assert "1 → 2" in capsys.readouterr().out
        status, answer = operator.post("/rollout", version=3)
        assert (status, "in progress" in answer["error"] or "on trial" in answer["error"]) == (
            409,
            True,
        )
        status, answer = operator.post("/versions/2/unload")
        assert (status, "on trial" in answer["error"]) == (409, True)
        operator.until(lambda one: one["final"])
        assert operator.stable() == 2
        operator.server.until(lambda: traffic.answers[-1][1] == "2")
        status, outcome = operator.post("/rollback")
        assert (status, outcome["aliases"]) == (200, {"stable": 1})
    assert traffic.statuses() == {200}
    assert traffic.broken == 0
    assert operator.actions() == [
        ("start", 0.0),
        ("ready", 5.0),
        ("advance", 50.0),
        ("succeed", 0.0),
    ]
    metrics = operator.server.metrics()
    assert metrics[f'penstock_rollout_phase{{model="{MODEL}",phase="promoted"}}'] == 1
    for step in operator.report()["steps"]:
        assert step["canary"]["requests"] >= QUICK["min_requests"]
    page = tmp_path / "report.html"
    assert main(["rollout", "report", MODEL, "-o", str(page), *where]) == 0
    assert page.read_text().count("<svg") >= 4
    assert main(["rollout", "report", MODEL, "--json", *where]) == 0
    assert '"phase": "promoted"' in capsys.readouterr().out


def test_a_candidate_that_fails_is_rolled_back_and_no_caller_sees_an_error(begin):
    operator = begin("fails")
    with Traffic(operator.server.url, 1) as traffic:
        watch = operator.server.stopwatch()
        operator.start(steps=[5, 100], hold=60)
        operator.until(lambda one: one["final"])
        took = watch.seconds
        asked = len(traffic.answers)
        operator.server.until(lambda: len(traffic.answers) > asked + 50)
    found = operator.report()
    (step,) = found["steps"]
    assert (found["phase"], found["cause"]) == ("aborted", "evidence")
    assert took < 5.0
    assert traffic.statuses() == {200}
    assert traffic.versions() == {"1"}  # stable answered in its place
    assert step["canary"]["errors"] == step["canary"]["fallbacks"] >= 2
    assert step["stable"]["errors"] == 0
    records = operator.ask("GET", f"{PATH}/history")[1]["records"]
    record = next(one for one in records if one["action"] == "rollout.abort")
    about = record["evidence"]["rollout"]
    assert about["steps"][0]["canary"]["errors"] == step["canary"]["errors"]
    assert about["e_value"] >= about["aborts_at"] == 20
    assert record["actor"] == "penstock"
    assert (about["kind"], about["candidate"], about["stable"]) == ("canary", 2, 1)
    # The candidate is gone already: a rollback would take stable itself back.
    status, said = operator.post("/rollback")
    assert (status, operator.stable()) == (409, 1)
    assert "ended by itself" in said["error"]
    assert "version 1 was stable all the time" in said["error"]
    key = f'penstock_rollout_aborts_total{{model="{MODEL}",reason="evidence"}}'
    assert operator.server.metrics()[key] == 1
    # A new trial does not begin with what was held against the last one.
    operator.start(version=3, steps=[50, 100], min_requests=1_000_000)
    assert operator.rollout()["e_value"] == 1.0


def test_a_failing_candidate_is_taken_away_while_abandoned_scrapes_are_in_flight(begin):
    """Nobody reads the answers of 500 scrapes on each port; decisions and status wait for none."""
    operator = begin("fails")
    scrapes = []
    with Traffic(operator.server.url, 1) as traffic:
        operator.server.until(lambda: len(traffic.answers) > 20)
        for url in (operator.server.url, operator.server.admin_url):
            parts = urlsplit(url)
            request = f"GET /metrics HTTP/1.1\r\nhost: {parts.netloc}\r\n\r\n".encode()
            for _ in range(500):
                connection = socket.create_connection((parts.hostname, parts.port), 60)
                connection.sendall(request)
                scrapes.append(connection)
        try:
            operator.start(steps=[50, 100], hold=60)
            operator.until(lambda one: one["final"])
            assert operator.ask("GET", "/admin/status")[0] == 200
        finally:
            for connection in scrapes:
                connection.close()
    found = operator.report()
    assert (found["phase"], found["cause"], found["percent"]) == ("aborted", "evidence", 0.0)
    assert operator.stable() == 1
    assert traffic.statuses() == {200}


def test_a_candidate_that_kills_workers_is_taken_away(begin):
    operator = begin("dies", "--workers", 1)
    with Traffic(operator.server.url, 1) as traffic:
        operator.start(steps=[30, 100], hold=60)
        operator.until(lambda one: one["final"])
        operator.server.until(lambda: operator.server.status()["converged"])
        asked = len(traffic.answers)
        operator.server.until(lambda: len(traffic.answers) > asked + 50)
    found = operator.rollout()
    assert (found["phase"], found["cause"]) == ("aborted", "trip")
    assert "died while it had requests of the candidate" in found["message"]
    assert {version for _, version, _ in traffic.answers[asked:]} == {"1"}


def test_it_goes_on_where_it_was_when_control_is_killed_in_each_phase(begin, tmp_path):
    secrets = {"ci": "requester-secret", "boss": "approver-secret"}
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(
        "".join(
            f'[[token]]\nname = "{name}"\nsha256 = "{hashlib.sha256(one.encode()).hexdigest()}"\n'
            f'scopes = ["operate", "approve"]\n'
            for name, one in secrets.items()
        )
    )
    operator = begin("well", "--tokens-file", tokens)
    ci, boss = secrets["ci"], secrets["boss"]

    def kill():
        before, after = operator.kill()
        assert after["phase"] == before["phase"] or before["phase"] == "progressing"
        return after

    with Traffic(operator.server.url) as traffic:
        operator.start(token=ci, steps=[20, 60, 100], hold=1.0, require_approval=True)
        operator.until(lambda one: one["percent"] == 20.0)
        seen = operator.report()["steps"][0]["canary"]["requests"]
        kill()  # in a step
        # What was not saved yet is in the workers' counters, and back with the first look.
        operator.until(lambda _: operator.report()["steps"][0]["canary"]["requests"] >= seen)
        operator.until(lambda one: one["percent"] == 60.0)
        kill()  # while workers take the share up
        assert operator.post("/rollout/pause", ci)[0] == 200
        assert kill()["phase"] == "paused"
        assert operator.post("/rollout/resume", ci)[0] == 200
        operator.until(lambda one: one["phase"] == "awaiting_promotion")
        assert kill()["phase"] == "awaiting_promotion"
        digest = operator.rollout()["digest"]
        assert operator.post("/rollout/approve", ci, digest=digest)[0] == 403
        assert operator.post("/rollout/approve", boss, digest="sha256:00")[0] == 409
        status, answer = operator.post("/versions/2/promote", boss)
        assert (status, "approves" in answer["error"]) == (409, True)
        assert operator.stable() == 1
        assert operator.post("/rollout/approve", boss, digest=digest)[0] == 200
        operator.until(lambda one: one["phase"] == "promoted")
        assert kill()["phase"] == "promoted"
    assert traffic.statuses() == {200}
    assert operator.actions() == [
        ("start", 0.0),
        ("ready", 20.0),
        ("advance", 60.0),
        ("pause", 60.0),
        ("resume", 60.0),
        ("complete", 60.0),
        ("approve", 60.0),
        ("succeed", 0.0),
    ]
    counted = sum(
        step[arm]["requests"] for step in operator.report()["steps"] for arm in ("stable", "canary")
    )
    assert counted <= len(traffic.answers) + 2  # nothing was counted twice
    assert operator.stable() == 2


def test_what_is_held_or_over_is_so_after_control_was_killed(begin):
    operator = begin()
    with Traffic(operator.server.url, 1) as traffic:
        operator.start(steps=[50, 100], min_requests=10**6, deadline=1.0)
        operator.until(lambda one: one["phase"] == "held")
        seen = operator.report()["steps"][0]["canary"]["requests"]
        assert seen > 0
        before, after = operator.kill()
        assert (after["phase"], after["cause"], after["percent"]) == ("held", "deadline", 50.0)
        assert after["since"] == before["since"]
        operator.until(lambda _: operator.report()["steps"][0]["canary"]["requests"] > seen)
        assert operator.post("/rollout/abort")[0] == 200
        _, after = operator.kill()
        assert (after["phase"], after["percent"]) == ("aborted", 0.0)
        asked = len(traffic.answers)
        operator.server.until(lambda: len(traffic.answers) > asked + 50)
    assert traffic.statuses() == {200}
    assert {version for _, version, _ in traffic.answers[asked:]} == {"1"}
    assert operator.actions() == [("start", 0.0), ("ready", 50.0), ("hold", 50.0), ("abort", 0.0)]
    assert operator.stable() == 1


def test_evidence_that_comes_while_control_is_dead_is_acted_on_by_the_next_one(begin):
    operator = begin("fails")
    operator.start(steps=[50, 100], hold=60)
    control = operator.server.children()["control"]
    with Traffic(operator.server.url, 1) as traffic:
        os.kill(control, signal.SIGKILL)  # at most one look has seen the traffic
        operator.until(lambda one: one["final"])
    found = operator.report()
    assert (found["phase"], found["cause"]) == ("aborted", "evidence")
    assert found["steps"][0]["canary"]["errors"] >= 2
    assert traffic.statuses() == {200}
    assert operator.actions() == [("start", 0.0), ("ready", 50.0), ("abort", 0.0)]


def test_a_shadow_and_a_comparison_go_on_when_control_is_killed_in_each_phase(begin):
    operator = begin("late")
    with Traffic(operator.server.url, 1) as traffic:
        asked = {"kind": "shadow", "version": 2, "min_requests": 10**6}

        def start():
            with suppress(OSError, http.client.HTTPException):  # its control is killed
                operator.ask("POST", f"{PATH}/rollout", asked)

        def pairs():
            return sum(step["pairs"]["pairs"] for step in operator.report()["steps"])

        starting = threading.Thread(target=start)
        starting.start()
        operator.server.until(lambda: operator.ask("GET", f"{PATH}/rollout")[0] == 200)
        before, after = operator.kill()  # while the candidate is being loaded
        assert before["phase"] == "preparing"
        assert after["phase"] in {"preparing", "progressing"}
        starting.join(60)
        operator.until(lambda _: pairs() > 20)
        seen = pairs()
        assert operator.kill()[1]["phase"] == "progressing"
        operator.until(lambda _: pairs() > seen)
        assert operator.post("/rollout/finish")[0] == 200
        assert operator.kill()[1]["phase"] == "finished"
        assert operator.actions() == [("start", 0.0), ("ready", 100.0), ("finish", 0.0)]
        operator.start(kind="ab", version=3, percent=50, min_requests=10)
        operator.until(lambda one: one["cause"] == "comparison")
        seen = operator.report()["steps"][0]["canary"]["requests"]
        assert operator.kill()[1]["phase"] == "progressing"
        operator.until(lambda _: operator.report()["steps"][0]["canary"]["requests"] > seen)
        assert operator.post("/rollout/finish")[0] == 200
    assert operator.actions() == [("start", 0.0), ("ready", 50.0), ("finish", 0.0)]
    assert traffic.statuses() == {200}
    assert operator.stable() == 1


def test_counts_that_are_missing_hold_it_and_it_says_so(begin, tmp_path):
    operator = begin()
    with Traffic(operator.server.url, 1):
        operator.start(steps=[50, 100], hold=3)
        operator.until(lambda _: operator.report()["steps"][0]["canary"]["requests"] > 10)
        (file,) = (tmp_path / "run" / "counters").glob("worker-0*")
        away = file.rename(tmp_path / file.name)
        operator.until(lambda one: one["cause"] == "metrics")
        assert "no counts of worker-0" in operator.rollout()["message"]
        time.sleep(4)  # longer than the step is to be held
        assert (operator.rollout()["phase"], operator.split()) == ("progressing", 50.0)
        away.rename(file)
        operator.until(lambda one: one["phase"] == "promoted")
    (step,) = operator.report()["steps"]
    assert step["observed_seconds"] >= 3


def test_a_slow_candidate_is_taken_away(begin):
    operator = begin("slow")
    with Traffic(operator.server.url, 1) as traffic:
        operator.server.until(lambda: len(traffic.answers) > 300)  # what stable takes is known
        operator.start(steps=[20, 100], hold=60)
        operator.until(lambda one: one["final"])
    found = operator.report()
    assert (found["phase"], found["cause"]) == ("aborted", "evidence")
    assert 0 < found["terms"]["slow_seconds"] < 0.3
    assert found["steps"][0]["canary"]["slow"] >= 3
    assert traffic.statuses() == {200}


def test_without_traffic_it_holds_and_says_so_and_a_restart_of_all_changes_nothing(begin, tmp_path):
    operator = begin()
    operator.start(steps=[25, 100], hold=0)
    operator.until(lambda one: one["cause"] == "no_traffic")
    assert "no data, no move" in operator.rollout()["message"]
    with Traffic(operator.server.url, 1) as traffic:
        operator.post("/rollout/pause")
        operator.server.until(lambda: {"1", "2"} <= traffic.versions())
        operator.until(lambda one: operator.report()["steps"][0]["canary"]["requests"] > 20)
    asked = [version for _, version, _ in traffic.answers].count("2")
    operator.until(lambda one: operator.report()["steps"][0]["canary"]["requests"] == asked)
    before = operator.report()
    checkpoint = tmp_path / "state" / "rollouts" / f"{before['id']}.json"

    def on_disk():
        step = json.loads(checkpoint.read_text())["steps"][0]
        return step["counts"]["canary"]["requests"] == before["steps"][0]["canary"]["requests"]

    watch = operator.server.stopwatch()
    operator.server.until(on_disk)
    assert watch.seconds < 3.0
    everybody = [operator.server.process.pid, *operator.server.children().values()]
    for pid in everybody:
        os.kill(pid, signal.SIGKILL)
    operator.server.process.wait(60)
    operator = begin()
    after = operator.report()
    assert (after["phase"], after["percent"]) == ("paused", 25.0)
    assert after["steps"][0]["canary"] == before["steps"][0]["canary"]
    with Traffic(operator.server.url, 1) as traffic:
        operator.server.until(lambda: {"1", "2"} <= traffic.versions())
        operator.until(
            lambda one: (
                operator.report()["steps"][0]["canary"]["requests"]
                > before["steps"][0]["canary"]["requests"]
            )
        )
        assert operator.post("/rollout/resume")[0] == 200
        operator.until(lambda one: one["phase"] == "promoted")


def test_alarms_from_outside_and_operators_end_it(begin):
    operator = begin()
    alert = {"status": "firing", "fingerprint": "f1"}
    alert["labels"] = {"alertname": "Latency", "model": MODEL, "version": "2"}
    message = {"version": "4", "status": "firing", "alerts": [alert]}
    operator.start(steps=[25, 100], hold=60)
    assert operator.split() == 25.0
    status, said = operator.ask("POST", "/admin/webhooks/alertmanager", message)
    assert (status, said) == (200, {"vetoes": 1, "lifted": 0, "ignored": 0})
    operator.until(lambda one: one["phase"] == "aborted")
    assert operator.rollout()["cause"] == "veto"
    status, answer = operator.post("/rollout", version=2)
    assert (status, "Latency" in answer["error"]) == (409, True)
    operator.server.kill("control")
    operator.server.until(operator.answers)
    assert operator.post("/rollout", version=2)[0] == 409  # it still stands
    alert["status"] = "resolved"
    operator.ask("POST", "/admin/webhooks/alertmanager", message)
    operator.start(steps=[25, 100], hold=60)
    assert operator.post("/versions/3/promote", reason="tired of waiting")[0] == 200
    found = operator.rollout()
    assert (found["phase"], found["cause"]) == ("aborted", "operator")
    assert (operator.stable(), operator.split()) == (3, 0.0)
    record = operator.ask("GET", f"{PATH}/history")[1]["records"][0]
    assert (record["action"], record["evidence"]["rollout"]["phase"]) == ("promote", "aborted")


def test_a_version_that_fails_its_golden_requests_is_served_on_somebodys_word(begin, tmp_path):
    operator = begin()
    tensor = {"datatype": "FP32", "shape": [1, 1]}
    golden = [
        {
            "inputs": [{**tensor, "name": "x", "data": [1]}],
            "outputs": [{**tensor, "name": "y", "data": [3]}],
        }
    ]
    directory = tmp_path / "registry" / MODEL / "4"
    directory.mkdir()
    (directory / "examples.json").write_text(json.dumps(golden))
    (directory / "model.double").write_text(json.dumps({"mood": "well"}))
    status, answer = operator.post("/rollout", version=4)
    assert (status, "cannot be loaded" in answer["error"]) == (409, True)
    assert operator.post("/versions/4/load", accept=True)[0] == 400  # without a reason
    where = ["--admin-url", operator.server.admin_url, "--token", operator.token]
    assert main(["load", MODEL, "4", "--accept", "--reason", "the rows are old", *where]) == 0
    record = operator.ask("GET", f"{PATH}/history")[1]["records"][0]
    assert (record["action"], record["reason"]) == ("load", "the rows are old")
    assert record["evidence"]["accepted"] is True
    operator.start(version=4, steps=[50, 100], min_requests=10**6)
    assert operator.split() == 50.0


def test_a_shadow_computes_what_callers_never_see_and_a_comparison_shares(begin, capsys):
    operator = begin("fails")
    where = ["--admin-url", operator.server.admin_url, "--token", operator.token]
    with Traffic(operator.server.url, 1) as traffic:
        assert main(["shadow", "start", MODEL, "3", "--min-requests", "1000000", *where]) == 0
        operator.until(lambda one: operator.report()["steps"][0]["pairs"]["pairs"] > 20)
        assert main(["rollout", "report", MODEL, *where]) == 0
        assert "rows differ" in capsys.readouterr().out
        assert main(["shadow", "stop", MODEL, *where]) == 0
        assert operator.rollout()["phase"] == "finished"
        assert traffic.versions() == {"1"}
        # One that fails disagrees.
        operator.ask("POST", f"{PATH}/rollout", {"kind": "shadow", "version": 2})
        operator.until(lambda one: one["final"])
        assert operator.rollout()["cause"] in {"evidence", "trip"}
        assert traffic.versions() == {"1"}
        assert main(["ab", "start", MODEL, "3", "--percent", "50", *where]) == 0
        operator.server.until(lambda: {"1", "3"} <= traffic.versions())
        operator.until(lambda one: one["cause"] == "comparison")
        assert main(["ab", "result", MODEL, *where]) == 0
        assert "intervals of 95 %" in capsys.readouterr().out
        assert main(["ab", "stop", MODEL, *where]) == 0
    assert traffic.statuses() == {200}
    assert operator.rollout()["phase"] == "finished"
    assert operator.stable() == 1


def test_a_tenant_that_the_candidate_fails_is_found_in_the_ramp_or_under_watch(begin):
    """Half of the tenants are in the first step; the others meet the candidate under watch."""
    operator = begin("fails", "--workers", 2)
    operator.start(steps=[50, 100], sticky_header="x-tenant", watch=120, holdback_percent=5)
    url = urlsplit(operator.server.url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    statuses, met = set(), 0
    deadline = time.monotonic() + 60
    number = 0
    while not operator.rollout()["final"] and time.monotonic() < deadline:
        for _ in range(10):
            number += 1
            acme = number % 20 == 0
            body = BODY if acme else BODY.replace(b"1000", b"1")
            headers = {"x-tenant": "acme" if acme else f"tenant-{number % 37}"}
            connection.request("POST", f"/v2/models/{MODEL}/infer", body, headers)
            answer = connection.getresponse()
            answer.read()
            statuses.add(answer.status)
            met += acme and answer.headers.get("x-penstock-fallback") == "canary"
    connection.close()
    assert statuses == {200}
    rollout = operator.rollout()
    assert (rollout["phase"], rollout["cause"]) == ("aborted", "evidence")
    assert "units" in rollout["message"]
    assert operator.stable() == 1
    assert met <= 40


@pytest.mark.parametrize("mood", ["constant", "shifted"])
def test_other_scores_hold_a_canary_until_a_person_has_looked(begin, tmp_path, mood):
    """From the answers of two workers through samples, monitor and controller to the decision."""
    divided = mood == "shifted"
    if divided:
        (tmp_path / "registry" / MODEL).mkdir(parents=True)
        options = tmp_path / "registry" / MODEL / "model.toml"
        options.write_text('segments = ["header:x-plan"]\n')
    operator = begin(mood, "--workers", 2, "--sample-rate", 1)
    random = np.random.default_rng(1)
    url = urlsplit(operator.server.url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    operator.start(steps=[50, 100], hold=90, max_bad_percent=100)
    deadline = time.monotonic() + 80
    # The scores of single segments are kept by 15 seconds: they go on after the hold.
    plans = {"header:x-plan=free", "header:x-plan=gold"} if divided else set()
    while not _held(operator, plans) and time.monotonic() < deadline:
        for number, value in enumerate(random.normal(size=100)):
            body = BODY.replace(b"1000", b"%f" % value)
            headers = {"x-plan": ("free", "gold")[number % 2]}
            connection.request("POST", f"/v2/models/{MODEL}/infer", body, headers)
            assert connection.getresponse().read()
        time.sleep(0.2)  # leaves the monitor some of the machine
    connection.close()
    report = operator.report()
    assert _held(operator, plans)
    assert "distributes its scores differently" in report["message"]
    assert report["evidence"]["score_change"] >= 20


def _held(operator, plans):
    """Whether it is held, and these segments are known to score differently."""
    report = operator.report()
    changed = {one["segment"] for one in report["segments"] if one["score_change"] >= 3060}
    return report["phase"] == "held" and changed == plans


def test_labels_of_real_predictions_are_evidence_of_the_step_they_were_made_in(begin):
    """Version 2 says 0 where 1 is true; the labels come after the predictions, as they do."""
    operator = begin("class 0", "--workers", 2, "--sample-rate", 1)
    operator.start(steps=[50, 100], hold=90, max_bad_percent=100)
    server = operator.server
    server.until(lambda: operator.report()["steps"][0]["settled"])
    body = BODY.replace(b"1000", b"1")
    for number in range(200):
        request = urllib.request.Request(f"{server.url}/v2/models/{MODEL}/infer", body)
        request.add_header("content-type", "application/json")
        request.add_header("x-request-id", f"made-{number}")
        urllib.request.urlopen(request, timeout=60).read()
    labels = [{"request_id": f"made-{number}", "label": 1} for number in range(200)]
    request = urllib.request.Request(f"{server.url}/v1/feedback", json.dumps(labels).encode())
    request.add_header("content-type", "application/json")
    urllib.request.urlopen(request, timeout=60).read()
    server.until(lambda: operator.rollout()["final"])
    rollout = operator.rollout()
    assert (rollout["phase"], rollout["cause"]) == ("aborted", "evidence")
    assert "most of it labels" in rollout["message"]
    step = operator.report()["steps"][0]
    assert step["canary"]["wrong"] == step["canary"]["labelled"] > 50
    assert (step["stable"]["wrong"], step["stable"]["labelled"] > 50) == (0, True)
