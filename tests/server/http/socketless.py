"""Connections without sockets: what a server writes is kept, and read as answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class Transport:
    """Keeps what was written."""

    def __init__(self) -> None:
        self.written = b""
        self.lost = False

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, pieces: Sequence[bytes]) -> None:
        self.written += b"".join(pieces)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.lost

    def close(self) -> None:
        self.lost = True


@dataclass(frozen=True)
class Told:
    """An answer."""

    status: int
    headers: dict[str, str]
    value: float | None

    @property
    def arm(self) -> str:
        return self.headers["x-penstock-arm"]

    @property
    def fell_back(self) -> bool:
        return "x-penstock-fallback" in self.headers


def read(written: bytes) -> list[Told]:
    """All answers in what was written, which ends with one of them."""
    answers = []
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        size = int(headers["content-length"])
        body, written = json.loads(rest[:size]), rest[size:]
        value = body["outputs"][0]["data"][0] if "outputs" in body else None
        answers.append(Told(int(status.split()[1]), headers, value))
    return answers
