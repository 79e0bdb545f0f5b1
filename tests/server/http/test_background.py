"""Requests with ``priority: u=7``: they wait for the others, and say nothing of the traffic."""

from __future__ import annotations

import pytest

from penstock.monitoring.metrics.layout import LATENCY, STATUS
from penstock.monitoring.metrics.merge import snapshot
from penstock.server.inference.head import read_head


@pytest.mark.parametrize(
    ("value", "background"),
    [
        (b"u=7", True),
        (b"i, u=7", True),
        (b" u=7;x=1 ,i", True),
        (b"u=1, u=7", True),
        (b"u=7, u=1", False),
        (b"u=6", False),
        (b"u=77", False),
        (b"u", False),
        (b"7", False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_the_header_is_read_as_the_standard_says(value, background):
    head = read_head("m", None, [(b"priority", value)])
    assert head.background is background
    assert head.problem is None


def test_they_are_no_evidence_of_a_rollout():
    assert read_head("m", None, [(b"priority", b"u=7")]).arm == "stable"
    assert read_head("m", None, [(b"priority", b"u=7"), (b"priority", b"u=1")]).arm is None
    lines = [(b"priority", b"u=7"), (b"x-penstock-arm", b"canary")]
    assert read_head("m", None, lines).arm == "canary"


#: A list of numbers, as a template has it.
FLAT = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1.0,2.0]}]}'


@pytest.mark.parametrize("frontend", ["fast", "asgi"])
def test_they_are_counted_but_neither_sampled_nor_timed_nor_learnt(serve, post, frontend):
    with serve(frontend, sample_rate=1.0) as server:
        engine = server.app.engine

        def figures():
            block = snapshot(engine.counters).blocks["echo", "2"]
            return (
                block[STATUS],
                sum(block[LATENCY.first : LATENCY.total]),
                engine.samples.pending_rows,
                len(engine.inference.templates.templates._text),
            )

        bodies = [server.ask(post("echo", FLAT, "priority: u=7")).body for _ in range(4)]
        assert server.on_loop(figures) == (4, 0, 0, 0)
        bodies += [server.ask(post("echo", FLAT)).body for _ in range(4)]
        assert len(set(bodies)) == 1
        answered, timed, sampled, learnt = server.on_loop(figures)
        assert (answered, timed, sampled) == (8, 4, 4)
        assert frontend == "asgi" or learnt, "the same body without the header is learnt"


def test_others_go_first(serve, held, gate):
    with serve("fast", threads=1) as server, server.connect() as slow, server.connect() as batch:
        slow.send(held(1000.0))
        gate.wait_until_held()
        batch.send(held(1.0, "gate", "priority: u=7"))
        with server.connect() as online:
            online.send(held(2.0))
            for _ in range(2000):
                if server.on_loop(lambda: engine_waiting(server)) == 2:
                    break
            else:
                raise AssertionError("they do not wait")
            gate.open.set()
            assert online.answer().status == batch.answer().status == slow.answer().status == 200
        assert gate.executed[-3:] == [1000.0, 2.0, 1.0]


def engine_waiting(server):
    scheduled = server.app.engine.catalog.models["gate"].default.scheduled
    background = scheduled.background
    return scheduled.waiting_rows + (background.waiting_rows if background else 0)
