"""The differential fuzz over real sockets: both front ends with memory, and a server without."""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from corpus import family

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FAMILIES = 24
OWN = {"date", "x-request-id"}


@pytest.fixture(scope="module")
def servers(fuzzed_registry: Path, live_server: Any) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                live_server(fuzzed_registry, frontend, loop, threads=2, request_caching=caching)
            )
            for name, frontend, loop, caching in (
                ("fast", "fast", "uvloop", True),
                ("asgi", "asgi", "asyncio", True),
                ("plain", "fast", "asyncio", False),
            )
        }


def told(answer: Any) -> Any:
    headers = sorted(pair for pair in answer.header_list if pair[0] not in OWN)
    return answer.status, headers, answer.body


def in_turn(server: Any, raws: Sequence[bytes]) -> list[Any]:
    with server.connect() as client:
        return [told(client.send(raw).answer()) for raw in raws]


def in_batch(server: Any, raws: Sequence[bytes]) -> list[Any]:
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in raws]
        for client, raw in zip(clients, raws, strict=True):
            client.send(raw)
        return [told(client.answer()) for client in clients]


def pipelined(server: Any, raws: Sequence[bytes]) -> list[Any]:
    with server.connect() as client:
        client.send(b"".join(raws))
        return [told(client.answer()) for _ in raws]


def in_pieces(server: Any, raws: Sequence[bytes]) -> list[Any]:
    rng = random.Random(len(raws))
    with server.connect() as client:
        answers = []
        for raw in raws:
            place = rng.randrange(1, len(raw))
            answers.append(told(client.send(raw[:place], raw[place:]).answer()))
        return answers


#: An answer of the ASGI front end takes 40 ms, as uvicorn writes it in two pieces.
WAYS = [("fast", way) for way in (in_turn, in_batch, in_turn, pipelined, in_pieces)]
WAYS += [("asgi", in_batch)]


@pytest.mark.parametrize("seed", range(4))
def test_every_way_through_every_door_gives_the_same_bytes(
    servers: dict[str, Any], seed: int
) -> None:
    rng = random.Random(1000 + seed)
    for _ in range(FAMILIES // 4):
        raws = [raw for raw in family(rng) if b"/models/split/" not in raw]
        if not raws:
            continue
        expected = in_turn(servers["plain"], raws)
        for frontend, way in WAYS:
            got = way(servers[frontend], raws)
            for raw, one, two in zip(raws, expected, got, strict=True):
                shown = f"{frontend}, {way.__name__}: {raw!r:.900}\n{one!r:.500}\n{two!r:.500}"
                assert one == two, shown
