"""Models that crash or hang native code: one is taken out, and the others go on. Real processes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL

pytestmark = pytest.mark.slow


def value(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, list(shape))


def write(registry, name, nodes, inputs, outputs, constants=()):
    initializers = [numpy_helper.from_array(np.array(a), n) for n, a in constants]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", 17)]
    path = registry / name / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def floats(*names):
    return [value(name, FLOAT, "N", 1) for name in names]


def sound(registry, name):
    write(registry, name, [helper.make_node("Neg", ["x"], ["y"])], floats("x"), floats("y"))


def crashes_at_load(registry, name):
    """SIGFPE while onnxruntime folds constants."""
    nodes = [
        helper.make_node("Div", ["a", "b"], ["q"]),
        helper.make_node("Cast", ["q"], ["f"], to=FLOAT),
        helper.make_node("Add", ["x", "f"], ["y"]),
    ]
    constants = [("a", np.int64([-(2**63)])), ("b", np.int64([-1]))]
    write(registry, name, nodes, floats("x"), floats("y"), constants)


def loop(registry, name, rounds, least=0):
    """So many rounds, a constant or an input ``x`` and `least` more, of next to nothing."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Add", ["a", "k"], ["a2"])],
        "body",
        [value("i", INT64), value("c", BOOL), value("a", FLOAT)],
        [value("c2", BOOL), value("a2", FLOAT)],
    )
    nodes = [
        helper.make_node("Squeeze", ["x"], ["n"]),
        helper.make_node("Add", ["n", "least"], ["m"]),
        helper.make_node("Loop", ["m" if rounds is None else "r", "t", "z"], ["s"], body=body),
        helper.make_node("Unsqueeze", ["s", "axes"], ["y"]),
    ]
    constants = [
        ("t", np.bool_(1)),
        ("k", np.float32(1)),
        ("z", np.float32(0)),
        ("axes", np.int64([0, 1])),
        ("r", np.int64(rounds or 0)),
        ("least", np.int64(least)),
    ]
    inputs = [value("x", INT64, 1, 1)]
    write(registry, name, nodes, inputs, [value("y", FLOAT, 1, 1)], constants)


def divides(registry, name):
    """``x / d`` in whole numbers; SIGFPE for -2**63 / -1."""
    inputs = [value(one, INT64, "N", 1) for one in "xd"]
    outputs = [value("y", INT64, "N", 1)]
    write(registry, name, [helper.make_node("Div", ["x", "d"], ["y"])], inputs, outputs)


def body(datatype, **inputs):
    tensors = [
        {"name": name, "datatype": datatype, "shape": [1, 1], "data": [number]}
        for name, number in inputs.items()
    ]
    return json.dumps({"inputs": tensors}).encode()


def state_of(server, model):
    (found,) = [one for one in server.status()["models"] if one["name"] == model]
    return found["versions"][0]


def test_loads_that_crash_or_hang_end_in_a_reason_and_no_worker_dies(serve, tmp_path):
    registry = tmp_path / "registry"
    for name in ("a-good", "z-good"):
        sound(registry, name)
    crashes_at_load(registry, "crashes")
    loop(registry, "hangs", 2**62)
    (registry / "hangs" / "model.toml").write_text("load_timeout_seconds = 3")
    server = serve("--load-trials", "true", "--workers", 2, registry=registry, monitor=False)
    before = server.children()
    assert "killed by SIGFPE" in state_of(server, "crashes")["reason"]
    assert "load_timeout_seconds, 3 s" in state_of(server, "hangs")["reason"]
    for name in ("a-good", "z-good"):
        assert server.ask(name, body("FP32", x=1.5)) == 200
    assert server.children() == before
    # What was learnt outlives the server: no worker and no trial meets either of them again.
    assert server.stop() == 0
    began = time.monotonic()
    again = serve("--load-trials", "true", registry=registry, monitor=False)
    assert state_of(again, "hangs")["state"] == state_of(again, "crashes")["state"] == "FAILED"
    assert again.ask("a-good", body("FP32", x=1.5)) == 200
    assert time.monotonic() - began < 30


def test_a_stop_does_not_wait_for_a_load_that_never_ends(serve, tmp_path):
    registry = tmp_path / "registry"
    loop(registry, "hangs", 2**62)
    sound(registry, "good")
    server = serve(
        "--load-trials", "true", "--drain-seconds", 1, registry=registry, wait=False, monitor=False
    )
    server.until(lambda: server.ask("good", body("FP32", x=1.5)) == 200)
    status, answer = server.once(server.url, "/v2/health/ready")
    assert status == 503
    assert b"version 1 of model 'hangs': loading for " in answer
    assert b"limit 60 s" in answer
    status, answer = server.once(server.admin_url, "/v2/health/ready")
    assert status == 503
    assert b"version 1 of model 'hangs': loading for " in answer
    assert state_of(server, "hangs")["reason"].startswith("loading for ")
    watch = server.stopwatch()
    assert server.stop(watch) == 0
    assert watch.seconds < 1 + 2 + 0.5


CRASH = body("INT64", x=-(2**63), d=-1)


def test_a_request_that_crashes_native_code_stops_after_three_crashes(serve, tmp_path):
    registry = tmp_path / "registry"
    sound(registry, "good")
    divides(registry, "ratio")
    server = serve("--load-trials", "true", "--workers", 2, registry=registry, monitor=False)
    assert server.ask("ratio", body("INT64", x=6, d=3)) == 200
    for _ in range(3):
        assert server.ask("ratio", CRASH) == 0
        server.until(lambda: server.ask("good", body("FP32", x=1.5)) == 200)
        server.until(lambda: len(server.status()["workers"]) == 2)
    server.until(lambda: state_of(server, "ratio")["state"] == "FAILED")
    reason = state_of(server, "ratio")["reason"]
    assert "taken out of service: 3 processes died over it" in reason
    assert "killed by SIGFPE" in reason
    assert any("taken out of service" in one["reason"] for one in server.status()["problems"])
    assert server.ask("good", body("FP32", x=1.5)) == 200
    assert server.ask("ratio", CRASH) == 404
    opened = 'penstock_alerts_open{kind="registry.quarantine",model="ratio",severity="critical"}'
    server.until(lambda: server.metrics().get(opened) == 1)
    # It stays out over a restart, until an operator wants it tried again.
    assert server.stop() == 0
    again = serve("--load-trials", "true", registry=registry, monitor=False)
    assert state_of(again, "ratio")["state"] == "FAILED"
    assert again.ask("ratio", CRASH) == 404
    assert again.command("/admin/models/ratio/versions/1/load") == 200
    assert again.ask("ratio", body("INT64", x=6, d=3)) == 200
    again.until(lambda: not again.metrics().get(opened))


def test_a_worker_keeps_out_what_it_died_over_while_control_stands_still(serve, tmp_path):
    registry = tmp_path / "registry"
    sound(registry, "good")
    divides(registry, "ratio")
    server = serve("--load-trials", "true", registry=registry, monitor=False)
    os.kill(server.children()["control"], signal.SIGSTOP)
    crashes = 0
    while crashes < 6 and not server.ask("ratio", CRASH):
        crashes += 1
        server.until(lambda: server.ask("good", body("FP32", x=1.5)) == 200)
    assert crashes == 3


@pytest.fixture(scope="module")
def watched(serve_all, tmp_path_factory):
    """A server whose worker is killed in each of these tests, and is back after it."""
    registry = tmp_path_factory.mktemp("watched") / "registry"
    sound(registry, "good")
    loop(registry, "inline", None)  # it takes microseconds: it runs on the loop
    loop(registry, "aside", None, least=20_000)  # some milliseconds: it runs on a thread
    return serve_all("--load-trials", "true", registry=registry, monitor=False)


def last_exit(server, before, words):
    """Wait until the worker was killed, and is back; how it ended."""

    def told():
        found = [one for one in server.status()["processes"] if one["process"] == "worker-0"]
        return found and words in found[0]["last_exit"] and found[0]["last_exit"]

    server.until(lambda: server.children().get("worker-0") not in {None, before}, 180.0)
    server.until(told)
    server.until(lambda: server.ask("good", body("FP32", x=1.5)) == 200)
    return told()


def test_a_run_that_never_ends_costs_its_worker_seconds_and_no_other_model(watched):
    for rounds in (1, 10, 1):
        assert watched.ask("inline", body("INT64", x=rounds)) == 200
    before = watched.children()["worker-0"]
    assert watched.ask("inline", body("INT64", x=2**40)) == 0
    # Some seven seconds on an idle machine; what it waits for a processor does not count.
    found = last_exit(watched, before, "version 1 of model 'inline' ran")
    assert "stood still for" in found


def test_a_run_on_a_thread_that_never_ends_costs_its_worker_as_well(watched):
    assert watched.ask("aside", body("INT64", x=1)) == 200
    before = watched.children()["worker-0"]
    hung = threading.Thread(target=watched.ask, args=("aside", body("INT64", x=2**40)))
    hung.start()
    # The event loop goes on meanwhile.
    assert watched.ask("good", body("FP32", x=1.5)) == 200
    assert "limit 8 s" in last_exit(watched, before, "version 1 of model 'aside' ran")
    hung.join()


def test_a_stopped_worker_is_noticed_and_no_version_is_blamed(watched):
    stopped = watched.children()["worker-0"]
    os.kill(stopped, signal.SIGSTOP)
    assert "version" not in last_exit(watched, stopped, "was stopped by a signal")
    watched.until(lambda: watched.status()["converged"], 180.0)
