from __future__ import annotations

import json

import numpy as np
import pytest

from penstock.loadtests.__main__ import main
from penstock.loadtests.bench import BenchError, bench, synthetic_inputs

METADATA = {
    "name": "m",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
}


def one_model(reply):
    """A server of one model that answers each row with its sum."""

    def answer(_, head, body):
        target = head.split()[1]
        if target == b"/v2/models/m":
            return reply(json.dumps(METADATA).encode())
        if target != b"/v2/models/m/infer":
            return reply(b'{"error": "no such model"}', 404)
        tensor = json.loads(body)["inputs"][0]
        sums = np.array(tensor["data"]).reshape(tensor["shape"]).sum(axis=1).tolist()
        output = {"name": "y", "datatype": "FP32", "shape": [len(sums)], "data": sums}
        return reply(json.dumps({"outputs": [output]}).encode())

    return answer


@pytest.fixture
def url(tiny_server, reply):
    return f"http://127.0.0.1:{tiny_server(one_model(reply)).port}"


@pytest.mark.parametrize("rows", [1, 5])
def test_a_closed_loop_needs_only_url_and_model(url, rows):
    report = bench(url, "m", connections=2, seconds=0.2, rows=rows)
    figures = report.figures()
    assert figures["answers_per_second"] > 0
    assert figures["errors"] == 0
    assert report.request_bytes > 100


def test_the_command_prints_the_figures(url, capsys):
    assert main([url, "m", "--seconds", "0.1", "--connections", "1"]) == 0
    assert "answers per second" in capsys.readouterr().out


def test_an_unknown_model_is_told_as_the_server_says_it(url, capsys):
    assert main([url, "other"]) == 1
    assert "no such model" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"url": "https://h"}, "expected a URL"),
        ({"protocol": "xml"}, "unknown protocol"),
    ],
)
def test_wrong_arguments_say_what_was_expected(url, arguments, reason):
    with pytest.raises(BenchError, match=reason):
        bench(**({"url": url, "model": "m"} | arguments))


def test_no_server_is_said_plainly(unused_port):
    with pytest.raises(BenchError, match="no answer"):
        bench(f"http://127.0.0.1:{unused_port}", "m")


def test_synthetic_inputs_follow_the_metadata():
    tensors = [
        {"name": "a", "datatype": "FP16", "shape": [-1, 2, -1]},
        {"name": "b", "datatype": "INT64", "shape": [4]},
        {"name": "c", "datatype": "BOOL", "shape": []},
    ]
    inputs = synthetic_inputs(tensors, 3, np.random.default_rng(1))
    assert {name: (array.dtype.name, array.shape) for name, array in inputs.items()} == {
        "a": ("float16", (3, 2, 1)),
        "b": ("int64", (4,)),
        "c": ("bool", ()),
    }


def test_text_inputs_cannot_be_made_up():
    tensors = [{"name": "t", "datatype": "BYTES", "shape": [-1]}]
    with pytest.raises(BenchError, match="BYTES"):
        synthetic_inputs(tensors, 1, np.random.default_rng(1))
