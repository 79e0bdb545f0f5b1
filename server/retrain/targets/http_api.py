"""The HTTP API of a target: JSON in, JSON out, and errors that hold no secret."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from penstock.monitoring.http_exchange import Exchange, NoAnswer

from .contract import TargetFailed
from .secret import Secret, hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.monitoring.http_exchange import Answer

#: Answers that another attempt will not change.
_FINAL: Final = frozenset({301, 302, 303, 307, 308, 400, 405, 410, 413, 414, 415, 422})


@dataclass(frozen=True, slots=True)
class HttpApi:
    """Requests to one API.

    Attributes:
        root: URL that paths are added to.
        exchange: How requests are made.
        secret: The token of the API.
        clock: Unix seconds.
    """

    root: str
    exchange: Exchange
    secret: Secret
    clock: Callable[[], float]

    def send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], secret: str
    ) -> Answer:
        """Send a request as it is.

        Args:
            method: HTTP method.
            path: Added to the root.
            body: Of the request.
            headers: Of the request.
            secret: Never shown in an error.

        Raises:
            TargetFailed: There is no answer.
        """
        url = f"{self.root.rstrip('/')}{path}"
        try:
            return self.exchange.send(method, url, body, headers, self.clock())
        except (NoAnswer, OSError) as error:
            raise TargetFailed(hidden(f"no answer: {error}", secret)) from None

    def ask(
        self,
        method: str,
        path: str,
        content: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        accepted: tuple[int, ...] = (),
    ) -> tuple[int, Any]:
        """Send a request with the token of the API.

        Args:
            method: HTTP method.
            path: Added to the root.
            content: Body, as JSON values; ``None`` for none.
            headers: Beside those of the body and the token.
            accepted: Statuses that are no error, beside 2xx.

        Returns:
            The status, and the body as JSON values; ``None`` if it is not JSON.

        Raises:
            TargetFailed: There is no answer, or it is an error.
        """
        secret = self.secret.read()
        told = {"accept": "application/json", **authorization(secret), **(headers or {})}
        body = None
        if content is not None:
            body, told["content-type"] = orjson.dumps(content), "application/json"
        answer = self.send(method, path, body, told, secret)
        if not answer.done and answer.status not in accepted:
            raise refusal(answer, f"{method} {path}", secret)
        try:
            return answer.status, orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            return answer.status, None


def authorization(secret: str) -> dict[str, str]:
    """The header of a token, or of ``user:password``."""
    if not secret:
        return {}
    if ":" in secret:
        return {"authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}
    return {"authorization": f"Bearer {secret}"}


def refusal(answer: Answer, what: str, secret: str) -> TargetFailed:
    """The error of an answer.

    Args:
        answer: The answer.
        what: What was asked.
        secret: Never shown.
    """
    return TargetFailed(
        hidden(f"{what}: {answer.line()}", secret),
        final=answer.status in _FINAL,
        retry_after=answer.retry_after,
    )


def field_of(content: Any, *keys: str) -> Any:
    """A value in JSON objects within each other; ``None`` if it is not there."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def text_field(content: Any, what: str, *keys: str) -> str:
    """A value that must be there, as text.

    Args:
        content: JSON values.
        what: What was asked, for the error.
        keys: Where the value is.

    Raises:
        TargetFailed: It is not there.
    """
    found = field_of(content, *keys)
    if not isinstance(found, str | int) or isinstance(found, bool) or found == "":
        raise TargetFailed(f"{what} answered without {'.'.join(keys)}")
    return str(found)
