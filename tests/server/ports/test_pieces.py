"""Pieces of a body, however small, take what the body takes."""

from __future__ import annotations

import random
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from penstock.server.ports.pieces import COPIED_BYTES, MAX_PIECES, add_piece, body_of

if TYPE_CHECKING:
    from penstock.server.ports.pieces import Pieces


def test_the_pieces_joined_are_the_body() -> None:
    rng = random.Random(1)
    for count in (0, 1, MAX_PIECES, MAX_PIECES + 1, MAX_PIECES + 2, 5 * MAX_PIECES):
        pieces: Pieces = []
        given = [rng.randbytes(rng.randrange(5)) for _ in range(count)]
        for number, piece in enumerate(given):
            add_piece(pieces, memoryview(piece) if number % 2 else piece)
        assert b"".join(pieces) == b"".join(given)
        assert len(pieces) <= MAX_PIECES + 1


def test_a_body_sent_in_drops_takes_little_more_than_itself() -> None:
    pieces: Pieces = []
    drops = memoryview(bytes(500_000))
    tracemalloc.start()
    for at in range(0, len(drops), 2):
        add_piece(pieces, bytes(drops[at : at + 2]))
    assert tracemalloc.get_traced_memory()[1] < 3 * len(drops)
    tracemalloc.stop()


def test_a_large_body_of_many_pieces_is_not_copied_at_its_end() -> None:
    """What is copied at once holds the event loop, however many pieces it came in."""
    rng = random.Random(2)
    given = [rng.randbytes(COPIED_BYTES // 8) for _ in range(4 * MAX_PIECES)]
    pieces: Pieces = []
    for piece in given:
        add_piece(pieces, piece)
    (grown,) = pieces
    body = body_of(pieces)
    assert body is grown
    assert body == b"".join(given)


@pytest.mark.parametrize("count", [0, 1, 3, MAX_PIECES, 5 * MAX_PIECES])
@pytest.mark.parametrize("size", [1, COPIED_BYTES // 16])
@pytest.mark.parametrize("padding", [0, 5])
def test_the_body_stands_behind_its_padding(count: int, size: int, padding: int) -> None:
    given = [bytes([number % 256]) * size for number in range(count)]
    pieces: Pieces = []
    for piece in given:
        add_piece(pieces, piece)
    body = body_of(pieces, padding)
    assert body == bytes(padding) + b"".join(given)
    assert isinstance(body, bytes) or len(body) > COPIED_BYTES
