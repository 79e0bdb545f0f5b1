"""Control as a client of the prediction port: what a person asks on a page takes the usual path.

Control loads no model. It forwards a request to the port that all workers listen on, with the
server's own token where the port asks for one. The endpoint has checked the visitor's token before.
"""

from __future__ import annotations

import asyncio
import http.client
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from penstock.server.errors import BodyTooLarge, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Of an answer, which a page has to show.
MAX_ANSWER_BYTES: Final = 16 << 20
#: Requests under way at a time.
MAX_UNDER_WAY: Final = 4
#: Between two pieces of an answer.
TIMEOUT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the prediction port.

    Attributes:
        status: HTTP status.
        headers: By name, in lower case.
        body: At most `MAX_ANSWER_BYTES`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class PredictionClient:
    """Asks the prediction port.

    Args:
        url: Of the port, as a client on this machine reaches it.
        certificate: Certificate of the port; ``None`` without TLS.
        token: File of the token to send; ``None`` where the port asks for none.

    Attributes:
        url: As given.
    """

    def __init__(self, url: str, certificate: Path | None, token: Path | None) -> None:
        self.url = url
        self._certificate = certificate
        self._token = token
        self._under_way = 0

    async def ask(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request.

        Args:
            method: HTTP method.
            target: Path and query, percent-encoded.
            body: Its body.
            headers: Its headers.

        Raises:
            Unavailable: The port does not answer, or too many requests are under way.
            BodyTooLarge: The answer is larger than a page shows.
        """
        if self._under_way >= MAX_UNDER_WAY:
            raise Unavailable(
                f"{MAX_UNDER_WAY} requests of pages are under way; try again",
                retry_after_seconds=1,
            )
        self._under_way += 1
        try:
            return await asyncio.to_thread(self._ask, method, target, body, dict(headers or {}))
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the prediction port does not answer: {error}") from error
        finally:
            self._under_way -= 1

    def _ask(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Reply:
        """Blocking."""
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token.read_text().strip()}"
        connection = self._connection()
        try:
            connection.request(method, target, body or None, headers)
            answer = connection.getresponse()
            content = answer.read(MAX_ANSWER_BYTES + 1)
            if len(content) > MAX_ANSWER_BYTES:
                raise BodyTooLarge(
                    f"the answer is over {MAX_ANSWER_BYTES} bytes; ask the port itself"
                )
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, found, content)
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        if self._certificate is None:
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        # The port's own certificate, which may be of another name than this machine's loopback.
        context = ssl.create_default_context(cafile=str(self._certificate))
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=TIMEOUT_SECONDS, context=context
        )
