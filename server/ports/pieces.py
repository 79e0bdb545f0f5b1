"""Pieces of a body as they come."""

from __future__ import annotations

from typing import Final

#: Pieces that are kept as they are. A body of 64 MiB has fewer, unless it is sent in drops.
MAX_PIECES: Final = 1024

Pieces = list[bytes | bytearray | memoryview]


def add_piece(pieces: Pieces, piece: bytes | memoryview) -> None:
    """Keep a piece; all beyond `MAX_PIECES` are put together at once.

    An object for each byte would take forty times as much memory as the body.

    Args:
        pieces: Those before it; joined they are the body so far.
        piece: The next one.
    """
    if len(pieces) <= MAX_PIECES:
        pieces.append(piece)
        return
    last = pieces[-1]
    if type(last) is not bytearray:
        pieces[-1] = last = bytearray(last)
    last += piece
