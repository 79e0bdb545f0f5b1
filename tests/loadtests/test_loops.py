"""The closed and the open loop against a real server."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest

from penstock.loadtests.cases import Case
from penstock.loadtests.closed import ClosedLoop
from penstock.loadtests.connections import Connections
from penstock.loadtests.open import OpenLoop
from penstock.loadtests.outcome import GeneratorLagged, RunRefused
from penstock.loadtests.schedule import draw
from penstock.loadtests.wire import build_request

RIGHT = b'{"y": [1.0]}'


def decode(response):
    return {name: np.array(value) for name, value in json.loads(response.body).items()}


@pytest.fixture
def cases():
    return [
        Case(build_request("h", f"/{n}", b"x" * n), {"y": np.array([1.0])}, decode)
        for n in (1, 2, 3)
    ]


@pytest.fixture(params=["closed", "open"])
def run(request, cases):
    """Runs either loop briefly on a server."""

    def start(server, connections=4):
        with Connections("127.0.0.1", server.port, connections) as pool:
            if request.param == "closed":
                return ClosedLoop(pool, cases).run(0.2)
            return OpenLoop(pool, cases, lag_limit_seconds=math.inf).run(
                draw("poisson", 400, 0.2, 1)
            )

    return start


@pytest.mark.parametrize("fragment_bytes", [1 << 20, 7])
def test_every_right_answer_counts_however_it_arrives(run, tiny_server, reply, fragment_bytes):
    server = tiny_server(lambda *_: reply(RIGHT), fragment_bytes)
    outcome = run(server)
    assert outcome.latencies.size > 0
    assert outcome.statuses == {200: outcome.latencies.size}
    assert outcome.offered >= outcome.latencies.size
    assert server.requests >= outcome.latencies.size
    assert outcome.broken == 0
    assert np.all(outcome.latencies >= 0)


def test_cases_are_asked_in_turn(tiny_server, reply, cases):
    paths = []
    server = tiny_server(lambda _, head, __: paths.append(head.split()[1]) or reply(RIGHT))
    with Connections("127.0.0.1", server.port, 1) as pool:
        ClosedLoop(pool, cases).run(0.1)
    assert paths[:4] == [b"/1", b"/2", b"/3", b"/1"]


def test_bodies_that_differ_each_time_are_all_checked(run, tiny_server, reply):
    server = tiny_server(lambda n, *_: reply(json.dumps({"y": [1.0], "id": [n]}).encode()))
    assert run(server).latencies.size > 0


@pytest.mark.parametrize("body", [b'{"y": [2.0]}', b'{"y": [1.0, 1.0]}', b'{"z": [1.0]}', b"oops"])
def test_one_wrong_answer_among_many_refuses_the_run(run, tiny_server, reply, body):
    server = tiny_server(lambda n, *_: reply(body if n == 20 else RIGHT))
    with pytest.raises(RunRefused, match="1 wrong answers"):
        run(server)


def test_what_is_not_http_refuses_the_run(run, tiny_server):
    server = tiny_server(lambda *_: b"nonsense\r\n\r\n")
    with pytest.raises(RunRefused, match="is no response"):
        run(server)


def test_refusals_are_counted_and_are_not_answers(run, tiny_server, reply):
    server = tiny_server(lambda n, *_: reply(b"busy", 503) if n % 2 else reply(RIGHT))
    outcome = run(server)
    assert outcome.statuses[503] > 0
    assert outcome.statuses[200] == outcome.latencies.size
    assert outcome.attainment(10.0) < 1


def test_a_server_that_hangs_up_is_asked_on_a_new_connection(run, tiny_server, reply):
    server = tiny_server(lambda n, *_: None if n % 5 == 4 else reply(RIGHT))
    outcome = run(server)
    assert outcome.broken > 0
    assert outcome.latencies.size > 4
    assert server.connections > 4


def test_a_server_that_closes_after_each_answer_loses_none(run, tiny_server, reply):
    server = tiny_server(lambda *_: reply(RIGHT, headers="connection: close\r\n"))
    outcome = run(server)
    assert outcome.latencies.size > 4
    assert outcome.broken == 0


def test_a_large_request_is_sent_whole(tiny_server, reply):
    sizes = []
    server = tiny_server(lambda _, __, body: sizes.append(len(body)) or reply(RIGHT))
    large = Case(build_request("h", "/", b"z" * 8_000_000), {"y": np.array([1.0])}, decode)
    with Connections("127.0.0.1", server.port, 2) as pool:
        outcome = ClosedLoop(pool, [large]).run(0.1)
    assert outcome.latencies.size > 0
    assert set(sizes) == {8_000_000}


def test_an_open_loop_offers_its_whole_schedule(tiny_server, reply, cases):
    server = tiny_server(lambda *_: reply(RIGHT))
    schedule = draw("gamma:3", 500, 0.3, 2)
    with Connections("127.0.0.1", server.port, 64) as pool:
        outcome = OpenLoop(pool, cases, lag_limit_seconds=math.inf).run(schedule)
    assert outcome.offered == schedule.size == outcome.statuses[200] + outcome.unsent


def test_requests_that_find_no_free_connection_are_offered_and_missed(tiny_server, cases):
    server = tiny_server(lambda *_: b"")
    with Connections("127.0.0.1", server.port, 3) as pool:
        outcome = OpenLoop(pool, cases, lag_limit_seconds=math.inf).run(
            draw("poisson", 200, 0.2, 1), timeout_seconds=0.01
        )
    assert outcome.unsent == outcome.offered - 3
    assert outcome.unanswered == 3
    assert outcome.attainment(1.0) == 0


def test_latency_counts_from_the_schedule_not_from_the_send(tiny_server, reply, cases):
    """The clock stands still from 0.25 s on: the send itself takes no time."""
    server = tiny_server(lambda *_: reply(RIGHT))
    jumps = iter([0.0, 0.25])
    with Connections("127.0.0.1", server.port, 1) as pool:
        loop = OpenLoop(pool, cases, clock=lambda: next(jumps, 0.25), lag_limit_seconds=math.inf)
        outcome = loop.run(np.array([0.1]))
    assert outcome.lag_p99_seconds == pytest.approx(0.15)
    assert outcome.latencies.tolist() == pytest.approx([0.15])


def test_a_generator_behind_its_schedule_refuses_the_run(tiny_server, reply, cases):
    server = tiny_server(lambda *_: reply(RIGHT))
    late = itertools.count()
    with Connections("127.0.0.1", server.port, 64) as pool:
        loop = OpenLoop(pool, cases, clock=lambda: next(late) * 0.005)
        with pytest.raises(GeneratorLagged, match="sent late"):
            loop.run(draw("poisson", 200, 0.2, 1))


def test_an_empty_schedule_is_refused(tiny_server, reply, cases):
    server = tiny_server(lambda *_: reply(RIGHT))
    with (
        Connections("127.0.0.1", server.port, 1) as pool,
        pytest.raises(ValueError, match="at least one"),
    ):
        OpenLoop(pool, cases).run(np.array([]))


def test_no_server_is_an_error_at_once(cases, unused_port):
    with pytest.raises(OSError, match="refused"):
        Connections("127.0.0.1", unused_port, 1)
