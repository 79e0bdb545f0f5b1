"""One HTTP request and its answer, for what tells other servers of something.

The standard library's client is enough: such requests are rare, so there is no connection to keep,
and it honours the usual proxy variables. Redirects are not followed: a signed request goes where
the configuration says, nowhere else.
"""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.distribution import server_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Of an answer; the rest is not read.
MAX_ANSWER_BYTES: Final = 256 * 1024
_MAX_LINE: Final = 200


class NoAnswer(Exception):
    """Nothing came back, or nothing that is HTTP; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered.

    Attributes:
        status: HTTP status.
        content: The first `MAX_ANSWER_BYTES` of the body.
        retry_after: Seconds that the server asked to wait; 0 if it did not.
    """

    status: int
    content: bytes
    retry_after: float

    @property
    def done(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004  the statuses of success

    def line(self) -> str:
        """Status and the beginning of the body, in one line for people."""
        text = self.content[:_MAX_LINE].decode("utf-8", "replace")
        return f"{self.status} {one_line(text)}".strip()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Leave the answer as it is; 3xx then counts as an error."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """How requests are made.

    Attributes:
        timeout_seconds: Longest pause of one request.
        ca_file: Certificates to trust instead of the system's.
    """

    timeout_seconds: float
    ca_file: Path | None = None

    def send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], now: float
    ) -> Answer:
        """Send one request. Blocking.

        Args:
            method: HTTP method.
            url: http:// or https://.
            body: Its body; ``None`` for none.
            headers: Its headers, without that of the user agent.
            now: Unix seconds, for a ``Retry-After`` that is a date.

        Raises:
            NoAnswer: Nothing came back.
            OSError: The file of the certificates cannot be read.
        """
        if not url.startswith(("http://", "https://")):
            raise NoAnswer("the URL is no http:// or https://")
        trusted = ssl.create_default_context(cafile=self.ca_file)
        opener = urllib.request.build_opener(
            _NoRedirects, urllib.request.HTTPSHandler(context=trusted)
        )
        told = {**headers, "user-agent": f"penstock/{server_version()}"}
        try:
            call = urllib.request.Request(url, body, told, method=method)  # noqa: S310  checked
            try:
                with opener.open(call, timeout=self.timeout_seconds) as reply:
                    return Answer(reply.status, self._read(reply), 0.0)
            except urllib.error.HTTPError as error:
                with error:
                    return Answer(error.code, self._read(error), _wait(error.headers, now))
        except (OSError, HTTPException, ValueError) as error:
            raise NoAnswer(one_line(f"{type(error).__name__}: {error}")) from None

    def _read(self, reply: Any) -> bytes:
        """The beginning of a body; what comes byte by byte is not waited for without end."""
        end = time.monotonic() + self.timeout_seconds
        found = b""
        while len(found) < MAX_ANSWER_BYTES and time.monotonic() < end:
            piece: bytes = reply.read1(MAX_ANSWER_BYTES - len(found))
            if not piece:
                break
            found += piece
        return found


def one_line(text: str) -> str:
    """The beginning of a text, without line breaks."""
    return " ".join(text.split())[:_MAX_LINE]


def _wait(headers: Any, now: float) -> float:
    """Seconds from ``Retry-After``, which holds seconds or a date."""
    text = headers.get("retry-after", "") if headers is not None else ""
    try:
        return max(
            0.0, float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - now
        )
    except (ValueError, OverflowError):
        return 0.0
