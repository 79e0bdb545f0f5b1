"""Declared fields before the queue: refused, replaced or counted, the same on both front ends."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from penstock.monitoring.metrics.merge import snapshot

TOML = """
[monitoring]
features = ["age", "income", "kind"]

[quality]
event_time = "seen_at"
max_age = "1h"
stale = "pass"

[quality.fields.age]
min = 0
max = 120
integer = true
policy = "reject"

[quality.fields.income]
nulls = "impute"
constant = -1

[quality.fields."x[2]"]
values = [0, 1, 2]
"""
COUNTED = """
[quality.fields.x]
min = 0
max = 10
"""


@pytest.fixture
def registry(tmp_path, onnx_file):
    def make(toml):
        root = tmp_path / "registry"
        onnx_file(
            root / "echo" / "1" / "model.onnx",
            [("Identity", ["x"], ["y"])],
            [("x", "FLOAT", ["n", 3])],
            [("y", "FLOAT", ["n", 3])],
        )
        (root / "echo" / "model.toml").write_text(toml)
        return root

    return make


def body(rows, **parameters):
    content = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [len(rows), 3], "data": rows}]}
    if parameters:
        content["parameters"] = parameters
    return json.dumps(content).encode()


def raw(content, request_id="r"):
    return (
        b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"x-request-id: %b\r\ncontent-length: %d\r\n\r\n%b"
        % (request_id.encode(), len(content), content)
    )


def binary(rows):
    data = np.array(rows, "<f4").tobytes()
    entry = {"name": "x", "datatype": "FP32", "shape": [len(rows), 3]}
    entry["parameters"] = {"binary_data_size": len(data)}
    head = json.dumps({"inputs": [entry]}).encode()
    return (
        b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: x\r\nx-request-id: r\r\n"
        b"inference-header-content-length: %d\r\ncontent-length: %d\r\n\r\n%b%b"
        % (len(head), len(head) + len(data), head, data)
    )


def eventually(condition):
    """Wait until it holds."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def faults(server):
    """Field, kind and action -> count."""
    fields = server.on_loop(lambda: snapshot(server.app.engine.counters).fields)
    from penstock.monitoring.quality.field_counters import LABELS

    return {
        (name, *label): count
        for (_, _, name), slots in fields.items()
        for label, count in zip(LABELS, slots, strict=False)
        if count
    }


@pytest.mark.parametrize("frontend", ["fast", "asgi"])
def test_a_value_out_of_range_is_refused_by_name_and_counted(frontend, live_server, registry):
    with live_server(registry(TOML), frontend) as server:
        answer = server.ask(raw(body([[30, 1, 0], [130, 1, 0], [31, 1, 0]])))
        assert answer.status == 422
        assert answer.headers["x-error-code"] == "quality_rejected"
        message = json.loads(answer.body)["error"]
        assert message == "x[1][0] (age) is 130, expected a whole number from 0 to 120"
        half = server.ask(raw(body([[30.5, 1, 0]])))
        assert (half.status, b"30.5" in half.body) == (422, True)
        assert server.ask(raw(body([[30, 1, 0]]))).status == 200
        assert faults(server) == {
            ("age", "range", "rejected"): 1,
            ("age", "type", "rejected"): 1,
            ("seen_at", "null", "passed"): 3,
        }


@pytest.mark.parametrize(
    ("shape", "data", "place"),
    [(["n"], [1, 2, 99], "x[2]"), (["n", 2, 2], [[[1, 2], [99, 3]]], "x[0][1][0]")],
)
def test_the_place_of_a_fault_is_that_in_the_request(
    shape, data, place, live_server, onnx_file, tmp_path
):
    path = tmp_path / "echo" / "1" / "model.onnx"
    onnx_file(path, [("Identity", ["x"], ["y"])], [("x", "FLOAT", shape)], [("y", "FLOAT", shape)])
    toml = '[quality.fields.x]\nmax = 10\npolicy = "reject"\n'
    (tmp_path / "echo" / "model.toml").write_text(toml)
    sent = {"name": "x", "datatype": "FP32", "shape": list(np.shape(data)), "data": data}
    with live_server(tmp_path, "fast") as server:
        answer = server.ask(raw(json.dumps({"inputs": [sent]}).encode()))
        assert answer.status == 422
        assert json.loads(answer.body)["error"] == f"{place} is 99, expected a number of at most 10"


@pytest.mark.parametrize("frontend", ["fast", "asgi"])
def test_a_missing_value_is_replaced_and_an_unknown_one_only_counted(
    frontend, live_server, registry
):
    with live_server(registry(TOML), frontend) as server:
        answer = server.ask(binary([[30, float("nan"), 7], [31, 5, 1]]))
        assert answer.status == 200
        assert json.loads(answer.body)["outputs"][0]["data"] == [30, -1, 7, 31, 5, 1]
        assert faults(server) == {
            ("income", "null", "imputed"): 1,
            ("x[2]", "domain", "passed"): 1,
            ("seen_at", "null", "passed"): 1,
        }


@pytest.mark.parametrize(
    ("age", "status", "counted"),
    [(10, 200, {}), (7200, 422, {("seen_at", "stale", "rejected"): 1})],
)
def test_inputs_that_are_too_old_are_refused(age, status, counted, live_server, registry):
    toml = TOML.replace('stale = "pass"', 'stale = "reject"')
    with live_server(registry(toml)) as server:
        answer = server.ask(raw(body([[30, 1, 0]], seen_at=time.time() - age)))
        assert answer.status == status
        assert faults(server) == counted
        assert server.ask(raw(body([[30, 1, 0]]))).status == 422


def test_both_doors_answer_byte_for_byte(live_server, registry):
    requests = [
        raw(body([[30, 1, 0]])),
        raw(body([[130, 1, 0]])),
        raw(body([[30, 1, 9], [1.5, 1, 0]])),
        binary([[30, float("nan"), 0]]),
    ]
    root = registry(TOML)
    told = []
    for frontend in ("fast", "asgi"):
        with live_server(root, frontend) as server:
            answers = [server.ask(one) for one in requests]
            told.append(([(one.status, one.body) for one in answers], faults(server)))
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "toml", [TOML.replace('event_time = "seen_at"\nmax_age = "1h"', ""), COUNTED]
)
def test_requests_that_run_together_are_judged_one_by_one(toml, live_server, registry):
    """Pipelined requests of known form meet in a group; a fault in one is that one's alone."""
    good = b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b"
    rows = [[[n, 1, 0]] for n in range(4)] * 8
    rows[5] = rows[17] = [[130, 1, 0]]
    with live_server(registry(toml)) as server:
        connections = [server.connect() for _ in rows]
        for _ in range(3):
            for connection, one in zip(connections, rows, strict=True):
                content = body(one)
                connection.send(good % (len(content), content))
            answers = [one.answer() for one in connections]
            bad = {n for n, one in enumerate(answers) if one.status != 200}
            assert bad == ({5, 17} if "age" in toml else set())
            for one, answer in zip(rows, answers, strict=True):
                if answer.status == 200:
                    assert json.loads(answer.body)["outputs"][0]["data"] == one[0]
        for one in connections:
            one.socket.close()
        expected = ("age", "range", "rejected") if "age" in toml else ("x", "range", "passed")
        assert faults(server) == {expected: 6}


@pytest.mark.parametrize("frontend", ["fast", "asgi"])
@pytest.mark.parametrize("policy", ["reject", "pass", "impute"])
def test_faults_of_a_large_request_are_counted_as_those_of_a_small_one(
    frontend, policy, live_server, registry
):
    """It is looked at on another thread, or in parts, and nobody else waits for that."""
    toml = f'[quality.fields.x]\nmin = 0\nmax = 10\npolicy = "{policy}"\n'
    rows = np.ones((100_000, 3), np.float32)
    rows[[0, 50_000, 99_999], 1] = 11
    with live_server(registry(toml + "constant = 2\n" * (policy == "impute")), frontend) as server:
        answer = server.ask(binary(rows))
        assert answer.status == (422 if policy == "reject" else 200)
        told = {"reject": "rejected", "pass": "passed", "impute": "imputed"}[policy]
        eventually(lambda: faults(server) == {("x", "range", told): 3})
        assert server.ask(raw(body([[1, 2, 3]]))).status == 200


def test_a_field_that_the_version_has_not_is_a_reason_not_to_load_it(live_server, registry):
    with live_server(registry('[quality.fields."x[3]"]\nmin = 0\n')) as server:
        answer = server.ask(b"GET /v2/models/echo/ready HTTP/1.1\r\nhost: x\r\n\r\n")
        assert answer.status == 503
        assert "quality.fields.x[3] is no field" in json.loads(answer.body)["reason"]


def test_a_model_that_declares_nothing_has_no_gate(live_server, registry):
    with live_server(registry("")) as server:
        servable = server.app.engine.catalog.find("echo", None)
        assert servable.validation is None
        assert servable.tally is None
