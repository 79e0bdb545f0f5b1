"""Versions under way: real servers, real pushes, real commands, with traffic."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException

import pytest
import tritonclient.http as triton

pytestmark = pytest.mark.slow

MODEL = "/admin/models/breast-cancer"


class Operator:
    """Sends commands with the server's own token."""

    def __init__(self, server):
        self.server = server
        self.token = server.token

    def ask(self, method, path, body=None):
        data = json.dumps(body or {}).encode()
        request = urllib.request.Request(self.server.admin_url + path, data, method=method)
        request.add_header("content-type", "application/json")
        request.add_header("authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def post(self, path, **body):
        return self.ask("POST", path, body)

    def promote(self, version, **body):
        return self.post(f"{MODEL}/versions/{version}/promote", **body)

    def version(self, number):
        models = {one["name"]: one for one in self.server.status()["models"]}
        found = {one["version"]: one for one in models["breast-cancer"]["versions"]}
        return found.get(number)

    def answering(self):
        """The version that answers a request without one."""
        status, body = self.predict("/v2/models/breast-cancer/infer")
        return int(json.loads(body)["model_version"]) if status == 200 else status

    def predict(self, path):
        row = {"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [0.5] * 30}
        body = json.dumps({"inputs": [row]}).encode()
        request = urllib.request.Request(
            self.server.url + path, body, {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


class Registry:
    """A copy of one example model with two versions; `add` publishes another, in one rename."""

    def __init__(self, examples, path):
        self.path = path
        self.model = path / "breast-cancer"
        hidden = shutil.ignore_patterns(".*")
        shutil.copytree(examples / "breast-cancer", self.model, ignore=hidden)

    def add(self, version, source=1):
        shutil.copytree(self.model / str(source), self.path / ".draft")
        (self.path / ".draft").rename(self.model / str(version))


@pytest.fixture
def registry(tmp_path, examples_registry):
    return Registry(examples_registry, tmp_path / "registry")


LOADS = ("--settle-seconds", 0.2, "--load-trials", "true")


@pytest.fixture
def start(serve, registry):
    def begin(*options):
        server = serve(*LOADS, *options, registry=registry.path, monitor=False)
        return Operator(server)

    return begin


@pytest.fixture(scope="module")
def server(serve_all, examples_registry, tmp_path_factory):
    """Two workers for the tests that need no registry of their own."""
    path = Registry(examples_registry, tmp_path_factory.mktemp("served") / "registry").path
    return serve_all(*LOADS, "--workers", 2, registry=path, monitor=False)


@pytest.fixture
def operator(server):
    """An operator of that server, whose stable version is 2."""
    found = Operator(server)
    assert found.promote(2)[0] == 200
    return found


def test_a_version_that_arrives_is_served_and_takes_over_until_stable_says_otherwise(
    start, registry
):
    operator = start()
    assert operator.answering() == 2
    registry.add(3)
    operator.server.until(lambda: operator.answering() == 3)
    assert operator.promote(2)[0] == 200
    registry.add(4)
    operator.server.until(lambda: (operator.version(4) or {}).get("state") == "READY")
    assert operator.answering() == 2
    status, body = operator.predict("/v2/models/breast-cancer/versions/stable/infer")
    assert (status, json.loads(body)["model_version"]) == (200, "2")


def test_a_broken_version_is_never_served_and_the_state_says_why(start, registry):
    operator = start()
    whole = (registry.model / "1" / "model.onnx").read_bytes()
    (registry.model / "3").mkdir()
    (registry.model / "3" / "model.onnx").write_bytes(whole[: len(whole) // 2])
    operator.server.until(lambda: (operator.version(3) or {}).get("note"))
    operator.server.until(lambda: "kept still" not in operator.version(3)["note"])
    assert operator.answering() == 2
    status, body = operator.promote(3)
    assert status == 409
    assert "cannot be loaded" in body["error"]
    assert operator.server.once(operator.server.url, "/v2/health/ready")[0] == 200
    (registry.model / "3" / "model.onnx").write_bytes(whole)  # the rest arrives
    operator.server.until(lambda: operator.answering() == 3)


def test_promotions_and_rollbacks_under_load_lose_nothing(operator, load):
    took = []
    with load(operator.server.url, 4) as running:
        running.wait_for(100)
        assert operator.promote(1, reason="first")[0] == 200
        for _ in range(10):
            watch = operator.server.stopwatch()
            status, outcome = operator.post(f"{MODEL}/rollback", reason="back")
            took.append(watch.seconds)
            assert (status, outcome["aliases"]) == (200, {"stable": 2})
            assert operator.answering() == 2
            assert operator.promote(1)[0] == 200
            assert operator.answering() == 1
        running.wait_for(100)
    assert set(running.statuses) == {200}
    assert running.broken == 0
    assert sorted(took)[len(took) // 2] < 0.5
    history = operator.ask("GET", f"{MODEL}/history")[1]["records"]
    assert [one["action"] for one in history[:2]] == ["promote", "rollback"]
    assert history[-1]["action"] == "default"
    when = history[1]["time"]
    assert operator.ask("GET", f"{MODEL}/history?at={when}")[1]["version"] == 2


def test_of_two_operators_who_saw_the_same_one_wins_and_the_other_is_told(operator):
    seen = operator.server.status()["generation"]
    answers = []
    threads = [
        threading.Thread(
            target=lambda v=version: answers.append(
                operator.ask(
                    "PUT",
                    f"{MODEL}/aliases/contested",
                    {"version": v, "generation": seen, "by": f"operator-{v}"},
                )
            )
        )
        for version in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers.sort(key=lambda one: one[0])
    assert [status for status, _ in answers] == [200, 409]
    winner = answers[0][1]["version"]
    assert f"operator-{winner}" in answers[1][1]["error"]
    aliases = operator.server.status()["target"]["models"]["breast-cancer"]["aliases"]
    assert aliases == {"contested": winner, "stable": 2}
    assert operator.ask("DELETE", f"{MODEL}/aliases/contested")[0] == 200


def test_aliases_and_loads_survive_a_restart_of_everything(start, registry, tmp_path):
    operator = start("--version-policy", "explicit")
    assert operator.server.status()["target"]["models"] == {}
    for version in (1, 2):
        assert operator.post(f"{MODEL}/versions/{version}/load")[0] == 200
    assert operator.promote(1)[0] == 200
    assert operator.ask("PUT", f"{MODEL}/aliases/blue", {"version": 2})[0] == 200
    assert operator.post(f"{MODEL}/versions/2/unload")[0] == 409
    generation = operator.server.status()["generation"]
    assert operator.server.stop() == 0
    operator = start("--version-policy", "explicit")
    status = operator.server.status()
    assert status["generation"] == generation
    assert status["target"]["models"]["breast-cancer"]["aliases"] == {"blue": 2, "stable": 1}
    assert operator.answering() == 1
    assert operator.ask("DELETE", f"{MODEL}/aliases/blue")[0] == 200
    assert operator.post(f"{MODEL}/versions/2/unload")[0] == 200
    assert operator.predict("/v2/models/breast-cancer/versions/2/infer")[0] == 404


def test_control_killed_amid_commands_leaves_state_whole_and_the_chain_unbroken(
    start, load, tmp_path
):
    operator = start()
    operator.promote(1)
    with load(operator.server.url, 2) as running:
        for number in range(3):
            commanding = threading.Thread(target=_try, args=(operator.promote, 1 + number % 2))
            commanding.start()
            operator.server.kill("control")
            commanding.join()
            operator.server.until(lambda: _alive(operator))
            state = operator.server.status()
            aliases = state["target"]["models"]["breast-cancer"]["aliases"]
            operator.server.until(lambda: operator.server.status()["converged"])
            assert operator.answering() == aliases["stable"]
    assert set(running.statuses) == {200}
    assert operator.server.stop() == 0
    verified = subprocess.run(
        [*PENSTOCK, "audit", "verify", "--state-dir", tmp_path / "state"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout


PENSTOCK = [sys.executable, "-m", "penstock.server.cli.main"]


def test_the_command_line_does_it_all(operator):
    def penstock(*arguments, code=0):
        options = (
            "--admin-url",
            operator.server.admin_url,
            "--state-dir",
            operator.server.state_dir,
        )
        done = subprocess.run(
            [*PENSTOCK, *map(str, (*arguments, *options))],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "stable is 1" in penstock("promote", "breast-cancer", 1, "--reason", "calmer")
    shown = penstock("status")
    assert "breast-cancer" in shown
    assert json.loads(penstock("status", "--json"))["generation"] > 0
    assert "stable is 2" in penstock("rollback", "breast-cancer")
    assert "blue is 1" in penstock("alias", "breast-cancer", "blue", 1)
    assert "blue" in penstock("unload", "breast-cancer", 1, code=1)
    assert "no aliases" not in penstock("alias", "breast-cancer", "blue", "--remove")
    assert "calmer" in penstock("history", "breast-cancer")
    assert "version 2" in penstock("history", "breast-cancer", "--at", "2999-01-01")
    assert "digest" in penstock("diff", "breast-cancer", 1, 2, code=1)
    assert penstock("unload", "nothing", 1, code=1).count("\n") == 1


def test_tritonclient_lists_loads_and_unloads(operator):
    headers = {"authorization": f"Bearer {operator.token}"}
    client = triton.InferenceServerClient(operator.server.admin_url.removeprefix("http://"))
    listed = {one["version"]: one["state"] for one in client.get_model_repository_index()}
    assert listed == {"1": "READY", "2": "READY"}
    client.unload_model("breast-cancer", headers=headers, query_params={"version": "1"})
    assert operator.version(1)["state"] == "UNLOADED"
    client.load_model("breast-cancer", headers=headers, query_params={"version": "1"})
    assert operator.version(1)["state"] == "READY"
    with pytest.raises(triton.InferenceServerException, match="token"):
        client.unload_model("breast-cancer")
    data = triton.InferenceServerClient(operator.server.url.removeprefix("http://"))
    assert {one["state"] for one in data.get_model_repository_index()} == {"READY"}
    client.close()
    data.close()


def test_changes_need_a_token_and_the_documents_are_there(operator):
    operator.token = "guess"
    assert operator.promote(1)[0] == 401
    assert operator.server.once(operator.server.admin_url, "/docs")[0] == 200
    status, body = operator.server.once(operator.server.admin_url, "/openapi.json")
    assert status == 200
    assert "/admin/models/{model}/rollback" in json.loads(body)["paths"]
    assert operator.answering() == 2


def _try(function, *arguments):
    # Its connection is cut: whether it took place is to be seen.
    with suppress(OSError, HTTPException):
        function(*arguments)


def _alive(operator):
    try:
        return operator.server.once(operator.server.admin_url, "/v2/health/ready")[0] == 200
    except OSError:
        return False


def test_versions_that_fail_one_after_the_other_do_not_wait_for_the_next_look(start, registry):
    """Whatever else is to serve has not been copied before, so the registry is looked at again."""
    row = {"name": "features", "datatype": "FP32", "shape": [1, 30], "data": [0.5] * 30}
    wrong = {"name": "label", "datatype": "INT64", "shape": [1], "data": [99]}
    (registry.model / "model.toml").write_text("version_policy = { latest = 1 }")
    for number in (3, 4, 5):  # sound files, other answers than promised: only a load shows that
        registry.add(number)
        examples = json.dumps([{"inputs": [row], "outputs": [wrong]}])
        (registry.model / str(number) / "examples.json").write_text(examples)
    operator = start("--scan-seconds", 3600)
    operator.server.until(lambda: operator.answering() == 2)
    states = {number: operator.version(number)["state"] for number in (1, 2, 3, 4, 5)}
    assert states == {1: "NEW", 2: "READY", 3: "FAILED", 4: "FAILED", 5: "FAILED"}
    assert operator.server.status()["target"]["number"] == 4  # one for each that was tried
