"""What a client may ask of one connection."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from penstock.server.errors import HeadersTooLarge

if TYPE_CHECKING:
    from collections.abc import Collection

    from penstock.server.config.config import ServerConfig

#: Chunk sizes and extensions of a chunked body come on top of the body itself.
CHUNKING_ALLOWANCE_BYTES: Final = 65_536
#: The colon, a space and the line end of a header.
HEADER_LINE_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of both front ends.

    Attributes:
        max_body_bytes: A body as sent.
        max_decompressed_bytes: A body after decompression.
        large_body_bytes: Bodies from this size on are decoded off the event loop.
        large_answer_bytes: Outputs of a run with more bytes are encoded off the event loop.
        max_header_bytes: Target, header names and values together.
        max_header_count: Headers in one request.
        header_timeout_seconds: From the first byte to the end of the headers.
        body_timeout_seconds: Between two pieces of a body, or of an answer being taken.
        keep_alive_seconds: An idle connection is closed after this.
        linger_seconds: Seconds that a refused client has to read the reason.
        drain_grace_seconds: Seconds in which an idle client may still send a request when draining.
    """

    max_body_bytes: int = 64 * 1024 * 1024
    max_decompressed_bytes: int = 256 * 1024 * 1024
    large_body_bytes: int = 64 * 1024
    large_answer_bytes: int = 256 * 1024
    max_header_bytes: int = 32 * 1024
    max_header_count: int = 100
    header_timeout_seconds: float = 10.0
    body_timeout_seconds: float = 30.0
    keep_alive_seconds: float = 75.0
    linger_seconds: float = 2.0
    drain_grace_seconds: float = 0.25

    @classmethod
    def of(cls, config: ServerConfig) -> Limits:
        """The limits that a server configuration names; the others keep their defaults."""
        named = {field.name for field in fields(cls)}
        return cls(**{k: v for k, v in vars(config).items() if k in named})

    @property
    def sweep_seconds(self) -> float:
        """How often connections are looked at, so that no limit is overrun by much."""
        return min(
            1.0,
            self.header_timeout_seconds / 4,
            self.body_timeout_seconds / 4,
            self.keep_alive_seconds / 4,
        )

    def check_head(self, target_bytes: int, headers: Collection[tuple[bytes, bytes]]) -> None:
        """Check a complete head.

        Args:
            target_bytes: Length of the request's target, as sent.
            headers: Names and values.

        Raises:
            HeadersTooLarge: There are too many headers, or all is too long.
        """
        if len(headers) > self.max_header_count:
            raise HeadersTooLarge(
                f"{len(headers)} headers; at most {self.max_header_count} are accepted"
            )
        size = target_bytes + sum([len(name) + len(value) for name, value in headers])
        if size > self.max_header_bytes:
            raise HeadersTooLarge(f"the head is over {self.max_header_bytes} bytes")

    def max_message_bytes(self, in_head: bool) -> int:  # noqa: FBT001  one caller, one question
        """Raw bytes of a message that is still incomplete."""
        if in_head:
            return self.max_header_bytes + HEADER_LINE_BYTES * (self.max_header_count + 1)
        return self.max_header_bytes + 2 * self.max_body_bytes + CHUNKING_ALLOWANCE_BYTES
