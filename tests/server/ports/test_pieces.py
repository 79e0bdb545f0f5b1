"""Pieces of a body, however small, take what the body takes."""

from __future__ import annotations

import random
import tracemalloc
from typing import TYPE_CHECKING

from penstock.server.ports.pieces import MAX_PIECES, add_piece

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
