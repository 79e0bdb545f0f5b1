"""Request heads that were seen before, under their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .head import RequestHead

#: Heads remembered per process; beyond that the memory starts afresh.
KNOWN_HEADS: Final = 4096
#: A longer head is parsed each time: it is rare, and memory is bounded.
KNOWN_HEAD_BYTES: Final = 2048
#: Once half of the room is taken, a head has to come twice among so many new ones to be kept:
#: where each user has a header of his own, most never come again.
NEWCOMERS: Final = 4 * KNOWN_HEADS

END_OF_HEAD: Final = b"\r\n\r\n"


class KnownHeads(dict[bytes, "RequestHead"]):
    """Heads by their bytes, from the request line to the empty line."""

    __slots__ = ("_newcomers",)

    def __init__(self) -> None:
        super().__init__()
        self._newcomers: set[int] = set()

    def remember(self, head: RequestHead, chunk: bytes, lines: int) -> None:
        """Keep a head, unless its bytes are unlikely to come again or in doubt.

        Args:
            head: What they say; of a body of known length.
            chunk: Bytes that begin with it.
            lines: How many it must have, the request line and the empty one included.
        """
        if head.request_id is not None or head.problem is not None:
            return
        raw = chunk[: chunk.find(END_OF_HEAD) + len(END_OF_HEAD)]
        plain = raw.startswith(b"POST ") and raw.count(b"\n") == lines == raw.count(b"\r\n")
        if not plain or len(raw) > KNOWN_HEAD_BYTES or b"\r\nexpect:" in raw.lower():
            return
        if len(self) * 2 >= KNOWN_HEADS and self._is_new(raw):
            return
        if len(self) >= KNOWN_HEADS:
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
