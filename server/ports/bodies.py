"""The body of a small request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.server.errors import BodyTooLarge

from .pieces import add_piece, body_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from .pieces import Pieces


async def read_body(request: Request, max_bytes: int, hint: str = "") -> bytes:
    """The whole body, as sent.

    Args:
        request: The request.
        max_bytes: Of its body.
        hint: Advice for a larger body.

    Raises:
        BodyTooLarge: It is larger.
    """
    pieces: Pieces = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > max_bytes:
            raise BodyTooLarge(f"the body is over {max_bytes} bytes{hint}")
        add_piece(pieces, piece)
    return body_of(pieces)
