"""A cache of parsed request heads, keyed by their bytes.

A `RequestHead` is a function of the head's bytes alone, and the key is all of these bytes, from the
request line to the empty line. So equal bytes have an equal `RequestHead`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock.server.inference.head import RequestHead

#: Heads per process; a full cache is cleared.
MAX_HEADS: Final = 4096
#: Longer heads are not cached: they are rare, and memory is bounded.
MAX_HEAD_BYTES: Final = 2048
#: Once half of the room is taken, a head has to come twice among so many new ones to be kept:
#: where each user has a header of their own, most heads never come again.
NEWCOMERS: Final = 4 * MAX_HEADS

END_OF_HEAD: Final = b"\r\n\r\n"


class HeadCache(dict[bytes, "RequestHead"]):
    """Maps the bytes of a head, from the request line to the empty line, to the parsed head.

    Args:
        enabled: Whether it keeps heads.
    """

    __slots__ = ("_enabled", "_newcomers")

    def __init__(self, *, enabled: bool = True) -> None:
        super().__init__()
        self._enabled = enabled
        self._newcomers: set[int] = set()

    def remember(self, head: RequestHead, chunk: bytes, lines: int) -> None:
        """Keep a head, unless its bytes are unlikely to come again or not in plain form.

        Args:
            head: The parsed head, whose body has a known length.
            chunk: Bytes that begin with the head.
            lines: Number of its lines, the request line and the empty one included.
        """
        if not self._enabled or head.request_id is not None or head.problem is not None:
            return
        raw = chunk[: chunk.find(END_OF_HEAD) + len(END_OF_HEAD)]
        plain = raw.startswith(b"POST ") and raw.count(b"\n") == lines == raw.count(b"\r\n")
        if not plain or len(raw) > MAX_HEAD_BYTES or b"\r\nexpect:" in raw.lower():
            return
        if len(self) * 2 >= MAX_HEADS and self._is_new(raw):
            return
        if len(self) >= MAX_HEADS:
            self.clear()
        head.lines = raw
        self[raw] = head

    def _is_new(self, raw: bytes) -> bool:
        newcomers = self._newcomers
        key = hash(raw)
        if key in newcomers:
            newcomers.discard(key)
            return False
        if len(newcomers) >= NEWCOMERS:
            newcomers.clear()
        newcomers.add(key)
        return True
