"""The beginnings of answers: status line and the server's own headers."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE


class ResponseHeadCache(dict[int, bytes]):
    """By status, made when first asked for.

    Attributes:
        headers: The server's own headers; replaced every second, with the date.
    """

    __slots__ = ("headers",)

    def __init__(self) -> None:
        super().__init__()
        self.headers: list[tuple[bytes, bytes]] = []

    def renew(self, headers: list[tuple[bytes, bytes]]) -> None:
        """The server's own headers are new."""
        self.headers = headers
        self.clear()

    def __missing__(self, status: int) -> bytes:
        """Status line and headers, each line ended by CRLF."""
        lines = [b"%b: %b\r\n" % line for line in self.headers]
        response_head = self[status] = b"".join((STATUS_LINE[status], *lines))
        return response_head
