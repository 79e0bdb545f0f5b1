"""What operators and callers are shown of a running server, against what is really so."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from penstock.server.processes.restart import HEALTHY_SECONDS
from penstock.server.processes.restart_history import ProcessHistory

pytestmark = pytest.mark.slow

MEBIBYTE = 1 << 20


@pytest.fixture
def registry(tmp_path, onnx_file):
    """A model whose version 2 has 16 MiB of weights, and version 1 next to none."""
    path = tmp_path / "registry"
    for version, width in ((1, 16), (2, 2048)):
        onnx_file(
            path / "wide" / str(version) / "model.onnx",
            [("MatMul", ["x", "w"], ["y"])],
            [("x", "FLOAT", ["n", width])],
            [("y", "FLOAT", ["n", width])],
            [numpy_helper.from_array(np.ones((width, width), np.float32), "w")],
        )
    (path / "wide" / "model.toml").write_text('signature = "any"')
    return path


def penstock(*arguments):
    command = [sys.executable, "-m", "penstock.server.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def ask(url, body=None):
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_memory_is_shown_by_version_and_worker(serve, registry, tmp_path):
    server = serve("--workers", 2, registry=registry, monitor=False)
    status = server.status()
    ((small, large),) = [model["versions"] for model in status["models"]]
    assert sorted(large["workers"]) == ["worker-0", "worker-1"]
    for one in large["workers"].values():
        assert one["memory"]["estimated_bytes"] >= 2 * 16 * MEBIBYTE
        assert 15 * MEBIBYTE <= one["memory"]["measured_bytes"] <= one["memory"]["estimated_bytes"]
    measured = sum(one["memory"]["measured_bytes"] for one in large["workers"].values())
    gauge = 'penstock_model_memory_bytes{model="wide",version="2"}'
    assert server.metrics()[gauge] == measured
    assert all(one["memory"]["estimated_bytes"] < 5 * MEBIBYTE for one in small["workers"].values())
    options = ("--admin-url", server.admin_url, "--state-dir", tmp_path / "state")
    shown = penstock("status", *options)
    estimate = large["workers"]["worker-0"]["memory"]["estimated_bytes"] / MEBIBYTE
    assert f"of {estimate:.1f} MiB" in shown


def test_callers_are_told_why_a_version_failed_but_not_where_it_is(serve, registry, onnx_file):
    tensors = [("x", "FLOAT", ["n", 16])], [("y", "FLOAT", ["n", 16])]
    onnx_file(registry / "odd" / "1" / "model.onnx", [("NoSuchThing", ["x"], ["y"])], *tensors)
    server = serve(registry=registry, monitor=False)
    (failed,) = [model for model in server.status()["models"] if model["name"] == "odd"]
    assert failed["versions"][0]["reason"].startswith(f"cannot load {registry.parent}/")
    answers = [
        ask(server.url + "/v2/models/odd/infer", b"{}"),
        ask(server.url + "/v2/models/odd"),
        ask(server.url + "/v2/models/odd/versions/1"),
        ask(server.url + "/v2/models"),
        ask(server.url + "/v2/repository/index", b"{}"),
    ]
    assert [status for status, _ in answers] == [404, 404, 404, 200, 200]
    for _, body in answers:
        assert b"cannot load model.onnx: " in body
        assert b"NoSuchThing" in body
        assert str(registry.parent).encode() not in body


SABOTAGE = """
import sys
from pathlib import Path

if "worker-1" in sys.orig_argv and Path({mark!r}).exists():
    sys.modules["penstock.server.http.app"] = None  # cannot be imported
"""


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """As long as this file exists, the second worker cannot start; ask for it before `serve`."""
    (tmp_path / "site").mkdir()
    path = tmp_path / "broken"
    (tmp_path / "site" / "sitecustomize.py").write_text(SABOTAGE.format(mark=str(path)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return path


def test_a_worker_that_cannot_start_is_named_with_how_often_and_why(mark, serve, tmp_path):
    server = serve("--workers", 2, monitor=False)
    assert server.status()["processes"] == []
    server.kill("worker-0")
    server.until(lambda: server.status()["processes"])
    server.until(lambda: server.status()["converged"])
    assert server.status()["problems"] == []  # once is no trouble
    mark.touch()
    server.kill("worker-1")
    server.until(lambda: server.status()["processes"][-1]["short"] >= 3)
    status = server.status()
    assert [one["process"] for one in status["processes"]] == ["worker-0", "worker-1"]
    assert status["processes"][0]["last_exit"] == "was killed by SIGKILL"
    assert status["processes"][1]["last_exit"] == "ended with status 1"
    (problem,) = status["problems"]
    assert problem["path"] == "worker-1"
    assert "it does not stay up: it died " in problem["reason"]
    assert "the last time it ended with status 1, " in problem["reason"]
    options = ("--admin-url", server.admin_url, "--state-dir", tmp_path / "state")
    assert "worker-1: it does not stay up" in penstock("status", *options)
    mark.unlink()
    server.until(lambda: server.status()["converged"])
    server.stop()
    said = server.process.stderr.read()
    assert "penstock: worker-1 ended with status 1 (3 times in a row); starting it again" in said


@given(
    short=st.integers(0, 50), deaths=st.integers(1, 99), wait=st.floats(0, 300), now=st.floats(0, 9)
)
def test_trouble_ends_after_a_long_life(short, deaths, wait, now):
    history = ProcessHistory("worker-0", deaths, short, "ended with status 1", 0.0, wait)
    assert bool(history.trouble(now)) == (short > 1 and now < wait + HEALTHY_SECONDS)
    assert history.trouble(wait + HEALTHY_SECONDS) == ""
