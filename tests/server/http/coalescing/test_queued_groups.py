"""Requests that are alike, for models that run on threads: read together, queued one by one."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from penstock.batching.errors import Overloaded
from penstock.monitoring.metrics.layout import IN_FLIGHT, drop_index, status_index
from penstock.server.codecs.negotiate import JSON
from penstock.server.errors import ClientGone
from penstock.server.http.coalescing.group import CoalescingGroup, GroupKey
from penstock.server.http.coalescing.group_runner import GroupRunner
from penstock.server.inference.call import Call
from penstock.server.inference.coalesced_calls import CoalescedCalls
from penstock.server.inference.head import read_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Make = "Callable[..., bytes]"


def flat(value: str, model: str = "gate", *lines: str) -> bytes:
    """A request of one number, as it is written."""
    body = b'{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[%b]}]}' % value.encode()
    head = [f"POST /v2/models/{model}/infer HTTP/1.1", "host: x", f"content-length: {len(body)}"]
    return "\r\n".join([*head, *lines, "", ""]).encode() + body


@contextmanager
def looking_away(server: Any) -> Iterator[None]:
    """What is sent meanwhile is read in one iteration of the loop."""
    away, back = threading.Event(), threading.Event()

    def look_away() -> None:
        away.set()
        assert back.wait(60)

    server.loop.call_soon_threadsafe(look_away)
    assert away.wait(60)
    try:
        yield
    finally:
        back.set()


@pytest.fixture
def clients(fast: Any) -> Iterator[Callable[[int], list[Any]]]:
    """Makes clients whose connections the server has seen."""
    with ExitStack() as opened:

        def make(count: int) -> list[Any]:
            made = [opened.enter_context(fast.connect()) for _ in range(count)]
            for client in made:
                client.send(b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n")
                assert client.answer().status == 200
            return made

        yield make


@pytest.fixture
def groups_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many calls each group brought that was queued."""
    seen: list[int] = []
    queue = GroupRunner._queue

    def watched(self: GroupRunner, coalesced: Any, *arguments: Any, **more: Any) -> None:
        seen.append(len(coalesced.calls))
        queue(self, coalesced, *arguments, **more)

    monkeypatch.setattr(GroupRunner, "_queue", watched)
    return seen


def make_known(server: Any, raw: bytes) -> None:
    """The first request makes its head known, the second what is around its numbers."""
    for _ in range(2):
        assert server.ask(raw).status == 200


def counters(server: Any, model: str) -> list[int]:
    return list(server.app.engine.counters.model(model, "1")._slots)


def test_each_gets_its_own_answer_or_error(
    fast: Any, gate: Any, clients: Any, groups_of: list[int]
) -> None:
    gate.open.set()
    make_known(fast, flat("0.5"))
    asked = [f"{number / 10}" for number in range(10, 30)]
    asked[3], asked[7] = "1,3", "1.e"
    raws = [flat(text) for text in asked]
    senders = clients(len(raws))
    with looking_away(fast):
        for client, raw in zip(senders, raws, strict=True):
            client.send(raw)
    answers = [client.answer() for client in senders]
    assert groups_of[-1] == 20
    for number, (text, answer) in enumerate(zip(asked, answers, strict=True)):
        if number in {3, 7}:
            alone = fast.ask(raws[number])
            assert (answer.status, answer.body) == (400, alone.body)
        else:
            assert json.loads(answer.body)["outputs"][0]["data"] == [float(text)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == len(asked)
    assert counters(fast, "gate")[IN_FLIGHT] == 0


def test_who_finds_no_room_is_refused_with_the_others_as_alone(
    fast: Any, held: Make, gate: Any, clients: Any, groups_of: list[int]
) -> None:
    gate.open.set()
    make_known(fast, flat("1.0", "tiny"))
    gate.open.clear()
    blockers = clients(2)
    for number, client in enumerate(blockers):
        client.send(held(1000.0 + number, "tiny"))
        gate.wait_until_held()
    before = counters(fast, "tiny")
    senders = clients(9)
    with looking_away(fast):
        for number, client in enumerate(senders, 1):
            client.send(flat(f"{number}.0", "tiny"))
    refused = [client.answer() for client in senders[2:]]
    assert groups_of[-1] == 9
    alone = fast.ask(flat("9.5", "tiny", "x-request-id: me"))  # never in a group
    gate.open.set()
    for client in (*blockers, *senders[:2]):
        assert client.answer().status == 200
    own = ("date", "x-request-id")
    for answer in refused:
        assert (answer.status, answer.body) == (503, alone.body)
        assert {name: value for name, value in answer.headers.items() if name not in own} == {
            name: value for name, value in alone.headers.items() if name not in own
        }
    assert len({answer.headers["x-request-id"] for answer in refused}) == 7
    after = counters(fast, "tiny")
    counted = {slot: after[slot] - before[slot] for slot in (status_index(503), status_index(200))}
    assert counted == {status_index(503): 8, status_index(200): 4}
    assert after[drop_index("queue_full")] - before[drop_index("queue_full")] == 8
    assert after[IN_FLIGHT] == 0
    assert set(gate.executed) & {float(number) for number in range(3, 10)} == set()


def test_who_has_left_is_not_run(fast: Any, gate: Any, clients: Any, groups_of: list[int]) -> None:
    gate.open.set()
    make_known(fast, flat("0.5"))
    gate.executed.clear()
    senders = clients(6)
    with looking_away(fast):
        for number, client in enumerate(senders):
            client.send(flat(f"2.{number}"))
        senders[1].socket.close()
    answers = [client.answer() for client in senders[:1] + senders[2:]]
    assert [answer.status for answer in answers] == [200] * 5
    assert groups_of[-1] == 6
    assert fast.ask(flat("0.5")).status == 200
    assert counters(fast, "gate")[IN_FLIGHT] == 0


def test_who_has_left_is_not_told_that_there_is_no_room() -> None:
    head = read_head("m", None, [])
    calls = [Call(None, head, 0.0) for _ in range(3)]  # type: ignore[arg-type]
    calls[1].abandoned = True
    ended: list[Any] = []
    path = SimpleNamespace(fail=lambda *given: ended.append(given))
    servable = SimpleNamespace()
    runner = GroupRunner(None, None, path, None, None)  # type: ignore[arg-type]
    error = Overloaded(1.0, "queue_full")
    group = CoalescingGroup(GroupKey("m", None, None, b"", b"[", b"]"), JSON)
    coalesced = CoalescedCalls(group, calls, [b"1", b"2", b"3"])
    runner._refuse(coalesced, servable, error, assigned=False)  # type: ignore[arg-type]
    assert [call for call, _ in ended] == calls
    assert [type(why) for _, why in ended] == [Overloaded, ClientGone, Overloaded]
    assert all(call.servable is servable for call in calls)
