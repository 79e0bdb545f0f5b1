"""Pieces of a body as they come."""

from __future__ import annotations

from typing import Final, cast

#: Pieces that are kept as they are; a small body has fewer.
MAX_PIECES: Final = 16

#: Bodies up to this size are copied as a whole: `bytes` can be the key of a dictionary.
COPIED_BYTES: Final = 1024 * 1024

Pieces = list[bytes | bytearray | memoryview]


def add_piece(pieces: Pieces, piece: bytes | memoryview) -> None:
    """Keep a piece; all beyond `MAX_PIECES` are put together when they come.

    Joining the pieces of 60 MB at the end would hold the event loop for 40 to 100 ms. Adding one
    piece to those before it takes less than 1 ms. And an object for each byte of a body that is
    sent in drops would take forty times as much memory as the body.

    Args:
        pieces: Those before it; joined they are the body so far.
        piece: The next one.
    """
    first = pieces[0] if pieces else None
    if type(first) is bytearray:
        first += piece
    elif len(pieces) < MAX_PIECES:
        pieces.append(piece)
    else:
        pieces[:] = [bytearray().join((*pieces, piece))]


def body_of(pieces: Pieces, padding: int = 0) -> bytes:
    """The body of all its pieces, copied as a whole only if it is small.

    Args:
        pieces: Pieces of the body; not to be used any more.
        padding: Zero bytes before the body.

    Returns:
        `bytes`, or for a large body of many pieces a `bytearray`, which nobody may change.
    """
    first = pieces[0] if pieces else b""
    if type(first) is not bytearray or len(first) <= COPIED_BYTES:
        return b"".join((bytes(padding), *pieces) if padding else pieces)
    if padding:
        first[:0] = bytes(padding)
    return cast("bytes", first)
