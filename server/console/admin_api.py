"""The endpoints of the admin port, asked from within: a page shows what a program would be told."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from penstock.server.auth.sessions import HOLDER
from penstock.server.errors.error_message import error_message
from penstock.server.ports.media_types import JSON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Scope

    from penstock.server.auth.tokens import Token


class Refused(Exception):
    """An endpoint has refused a request.

    Attributes:
        status: HTTP status.
        message: Reason, for people.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of an endpoint.

    Attributes:
        status: HTTP status.
        headers: By name, in lower case.
        body: The whole of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class AdminApi:
    """The endpoints as one visitor may use them.

    Attributes:
        app: The admin port behind its border.
        holder: The token that the visitor has shown; ``None`` for a visitor without one.
    """

    app: ASGIApp
    holder: Token | None

    async def get(self, *path: str, **query: str) -> Any:
        """Ask for something.

        Args:
            path: Segments of the path, unquoted.
            query: Of the URL.

        Returns:
            The decoded JSON.

        Raises:
            Refused: The endpoint says no.
        """
        return await self.ask("GET", path, query=query)

    async def ask(
        self,
        method: str,
        path: tuple[str, ...],
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request; as `get`."""
        return json.loads(await self.fetch(method, path, body, query) or b"null")

    async def fetch(
        self,
        method: str,
        path: tuple[str, ...],
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        """The body of an answer, as it is; else as `ask`."""
        return (await self.exchange_json(method, path, body, query)).body

    async def exchange_json(
        self,
        method: str,
        path: tuple[str, ...],
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """An answer with its headers; else as `ask`."""
        sent = b"" if body is None else json.dumps(body).encode()
        answer = await self.exchange(method, path, sent, query, JSON if body is not None else "")
        if answer.status >= 400:  # noqa: PLR2004 - errors, as HTTP has them
            message = error_message(answer.body) or f"the admin port answers {answer.status}"
            raise Refused(answer.status, message)
        return answer

    async def exchange(
        self,
        method: str,
        path: tuple[str, ...],
        body: bytes = b"",
        query: Mapping[str, str] | None = None,
        content_type: str = "",
    ) -> Answer:
        """Send a request with any body, and give the answer as it is, errors included."""
        raw = "/" + "/".join(quote(one, safe="") for one in path)
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": "/" + "/".join(path),
            "raw_path": raw.encode(),
            "query_string": urlencode(query or {}).encode(),
            "root_path": "",
            "headers": [(b"content-type", content_type.encode())] if content_type else [],
            "client": None,
            "server": None,
            HOLDER: self.holder,
        }
        answer = Answer(500, {}, b"")
        pieces = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal answer
            if message["type"] == "http.response.start":
                pairs = (
                    (name.decode(), value.decode("latin-1")) for name, value in message["headers"]
                )
                answer = Answer(message["status"], dict(pairs), b"")
            else:
                pieces.append(message.get("body", b""))

        await self.app(scope, receive, send)
        return replace(answer, body=b"".join(pieces))
