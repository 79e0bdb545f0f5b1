"""Ids that the server makes up: unique, and no id tells anything about another one."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from penstock.server.inference.request_ids import BATCH_IDS, ID_BYTES, RequestIds

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("count", [0, 1, 7, BATCH_IDS - 1, BATCH_IDS, 3 * BATCH_IDS + 5])
def test_ids_taken_together_are_those_that_single_calls_would_have_made(count: int) -> None:
    drawn = [os.urandom(BATCH_IDS * ID_BYTES) for _ in range(8)]
    for before in (0, 1, BATCH_IDS - 1):
        one, all_at_once = iter(drawn), iter(drawn)
        single = RequestIds(lambda _, it=one: next(it))  # type: ignore[misc]
        together = RequestIds(lambda _, it=all_at_once: next(it))  # type: ignore[misc]
        start = [single.new() for _ in range(before)]
        assert start == [together.new() for _ in range(before)]
        assert together.take(count) == [single.new() for _ in range(count)]
        assert together.new() == single.new()


def test_every_id_holds_128_random_bits_of_its_own() -> None:
    calls: list[int] = []

    def random_bytes(count: int) -> bytes:
        calls.append(count)
        return os.urandom(count)

    ids = RequestIds(random_bytes)
    assert calls == []  # nothing is drawn before a fork
    made = [ids.new() for _ in range(3 * BATCH_IDS)] + ids.take(BATCH_IDS)
    assert len(set(made)) == 4 * BATCH_IDS
    assert {len(one) for one in made} == {32}
    assert sum(calls) == 16 * len(made)


def _step(first: bytes, second: bytes) -> int:
    return abs(int(first, 16) - int(second, 16))


def test_who_knows_an_id_cannot_guess_its_neighbours(
    any_server: Any,
    post: Callable[..., bytes],
    body: Callable[..., bytes],
    get: Callable[..., bytes],
) -> None:
    """By the parser, by a known head, coalesced, with an error, and by any other route."""
    requests = [post("echo", body([[float(i), 0.5]])) for i in range(40)]
    requests += [post("echo", b"nonsense"), post("no-such-model"), get("/v2/models"), get("/none")]
    with any_server.connect() as one, any_server.connect() as other:
        ids = []
        for raw in requests:
            one.send(raw)
            other.send(raw)
            ids += [client.answer().headers["x-request-id"].encode() for client in (one, other)]
    assert len(set(ids)) == len(ids)
    numbers = sorted(ids)
    nearest = min(_step(a, b) for a, b in pairwise(numbers))
    assert nearest > 1 << 64  # of 84 random numbers of 128 bits: sure up to a chance of 2^-51
