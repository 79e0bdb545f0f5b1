"""Pipelines in a running server: pushed, rolled out, promoted and rolled back like any version."""

import json
import shutil
import urllib.error
import urllib.request

import numpy as np
import pytest
from onnx import numpy_helper

from penstock.server.cli.main import main

pytestmark = pytest.mark.slow

TEXT = """
[[steps]]
name = "one"
model = "add"
version = VERSION
inputs = {x = "request.x"}
[[steps]]
name = "two"
model = "add"
version = 1
inputs = {x = "one.y"}
[outputs]
y = "two.y"
"""
ROLLOUT = "/admin/models/sum/rollout"
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}


@pytest.fixture
def registry(tmp_path, onnx_file):
    root = tmp_path / "registry"
    for version in (1, 2, 3):
        onnx_file(
            root / "add" / str(version) / "model.onnx",
            [("Add", ["x", "c"], ["y"])],
            [("x", "FLOAT", ["n", 2])],
            [("y", "FLOAT", ["n", 2])],
            [numpy_helper.from_array(np.float32(10**version), "c")],
        )
    (root / "add" / "model.toml").write_text("version_policy = { latest = 1 }\n")
    return root


def push(registry, tmp_path, version):
    path = tmp_path / "sum.toml"
    path.write_text(TEXT.replace("VERSION", str(version)))
    assert main(["push", str(registry), "sum", str(path)]) == 0


class Operator:
    """Sends commands to the admin port, and predictions to the model ``sum``."""

    def __init__(self, server):
        self.server = server

    def send(self, url, path, body):
        request = urllib.request.Request(url + path, json.dumps(body).encode(), method="POST")
        request.add_header("content-type", "application/json")
        request.add_header("authorization", f"Bearer {self.server.token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def command(self, path, **body):
        return self.send(self.server.admin_url, f"/admin/models/{path}", body)

    def rollout(self):
        return json.loads(self.server.once(self.server.admin_url, ROLLOUT)[1])

    def answer(self):
        status, body = self.send(self.server.url, "/v2/models/sum/infer", BODY)
        assert status == 200, body
        return body["outputs"][0]["data"][0]

    def loaded(self):
        workers = self.server.status()["workers"]
        return {
            (one["name"], one["version"]) for one in workers[0]["models"] if one["state"] == "READY"
        }


def test_a_pipeline_is_pushed_tried_in_the_shadow_rolled_out_and_rolled_back(
    registry, tmp_path, serve
):
    push(registry, tmp_path, 2)
    (registry / "sum" / "model.toml").write_text('on_push = "wait"\n')
    server = serve("--workers", 1, "--settle-seconds", 0, registry=registry)
    operator = Operator(server)
    assert operator.answer() == 1 + 100 + 10
    assert operator.loaded() == {("add", "1"), ("add", "2"), ("add", "3"), ("sum", "1")}
    status, body = operator.command("add/versions/2/unload")
    assert status == 409
    assert "runs a step of version 1 of model 'sum'; unload that first" in body["error"]

    push(registry, tmp_path, 3)
    status, body = operator.command("sum/rollout", kind="shadow", version=2, min_requests=1000000)
    assert status == 200, body

    def given_up():
        assert operator.answer() == 1 + 100 + 10
        return operator.rollout()["final"]

    server.until(given_up)
    assert operator.rollout()["cause"] == "evidence", "the steps differ in every answer"

    terms = {"steps": [50], "hold": 0.2, "min_requests": 1000000, "watch": 0, "warm_up": 0}
    status, body = operator.command("sum/rollout", version=2, **terms)
    assert status == 200, body
    seen = set()
    server.until(lambda: seen.add(operator.answer()) or len(seen) == 2)
    assert seen == {1 + 100 + 10, 1 + 1000 + 10}
    assert operator.command("sum/versions/2/promote")[0] == 200
    assert operator.answer() == 1 + 1000 + 10
    assert operator.command("sum/rollback")[0] == 200
    assert operator.answer() == 1 + 100 + 10
    shutil.rmtree(registry / "add" / "2")
    server.kill("worker-0")
    server.until(lambda: server.ask("sum", json.dumps(BODY).encode()) == 200)
    assert operator.answer() == 1 + 100 + 10
