"""Requests and answers of the admin port: small JSON bodies, and errors as everywhere."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from penstock.monitoring.text import clean, find_bad, is_text
from penstock.server.errors import ApiError, InternalError, InvalidRequest
from penstock.server.ports import bodies
from penstock.server.ports.media_types import JSON, check_media_type
from penstock.server.ports.routing_errors import routing_error

from .command import Command

if TYPE_CHECKING:
    from starlette.requests import Request

LOG = logging.getLogger("penstock.admin")

_MAX_BODY_BYTES: Final = 64 * 1024
_GENERATION: Final = re.compile(r"[0-9]{1,18}")
#: Longest piece of a client's value shown back in an error.
MAX_SHOWN: Final = 80
_COUNT: Final = re.compile(r"[0-9]{1,4}")
_VERSION: Final = re.compile(r"[1-9][0-9]{0,17}")
_ACTOR: Final = re.compile(r"[\w.@+-]{1,64}")
_MAX_REASON: Final = 4096


def answer(content: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(json.dumps(content), status, media_type="application/json")


async def read_body(
    request: Request, max_bytes: int = _MAX_BODY_BYTES, *, untyped: bool = False
) -> dict[str, Any]:
    """The JSON object of a request; empty if it has no body.

    Args:
        request: The request.
        max_bytes: Of its body.
        untyped: Whether the body may come without a content type, as Triton's clients send it.

    Raises:
        InvalidRequest: It is something else.
        BodyTooLarge: It is larger than any command.
        UnsupportedMediaType: It is not said to be JSON.
    """
    body = await bodies.read_body(request, max_bytes)
    if not body:
        return {}
    check_media_type(request.headers.get("content-type"), (JSON,), missing=untyped)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRequest("the body is not JSON") from None
    if not isinstance(content, dict):
        raise InvalidRequest("the body is not a JSON object")
    if bad := find_bad(content):
        raise InvalidRequest(f"{clean(bad)[:200]} has a lone surrogate or a NUL, expected text")
    return content


def check_keys(body: dict[str, Any], known: tuple[str, ...]) -> None:
    """Refuse a body with a key that nobody reads.

    Raises:
        InvalidRequest: The body has such a key.
    """
    for key in body:
        if key not in known:
            raise InvalidRequest(f"unknown key {key!r}; known are {', '.join(known)}")


def flag_of(body: dict[str, Any], key: str) -> bool:
    """A value that is true or false; false if it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    value = body.get(key, False)
    if type(value) is not bool:
        raise InvalidRequest(f"{key} is {str(value)[:MAX_SHOWN]!r}, expected true or false")
    return value


def reason_of(body: dict[str, Any]) -> str:
    """The reason in the actor's words; empty if there is none."""
    reason = body.get("reason", "")
    if not isinstance(reason, str) or len(reason) > _MAX_REASON or not is_text(reason):
        raise InvalidRequest(f"reason must be a text of at most {_MAX_REASON} characters")
    return reason


def needed_reason_of(body: dict[str, Any]) -> str:
    """As `reason_of`, of what nobody may do without one.

    Raises:
        InvalidRequest: There is none.
    """
    reason = reason_of(body).strip()
    if not reason:
        raise InvalidRequest("reason is missing, expected a text; it goes on record")
    return reason


def generation_of(request: Request, body: dict[str, Any]) -> int | None:
    """The generation that the actor saw, from ``If-Match`` or the body; ``None`` if none says."""
    given = body.get("generation")
    header = request.headers.get("if-match")
    if header is not None and header.strip() != "*":
        text = header.strip().removeprefix("W/").strip('"')
        if not _GENERATION.fullmatch(text) or given not in (None, int(text)):
            shown = header[:MAX_SHOWN]
            raise InvalidRequest(f'if-match is {shown!r}, expected the generation, such as "7"')
        given = int(text)
    if given is not None and (type(given) is not int or given < 0):
        raise InvalidRequest(f"generation is {str(given)[:MAX_SHOWN]!r}, expected a whole number")
    return given


def actor_of(token: str, body: dict[str, Any]) -> str:
    """The token's name, and who used it if the request says."""
    by = body.get("by", "")
    if not by:
        return token
    if not isinstance(by, str) or not _ACTOR.fullmatch(by):
        raise InvalidRequest("by must be a name: letters, digits and . _ @ + - (at most 64)")
    return f"{token}/{by}"


def version_of(value: Any) -> int:
    """A version number, from a path, a query or a body.

    Raises:
        InvalidRequest: It is none.
    """
    if isinstance(value, bool) or not _VERSION.fullmatch(str(value)):
        shown = str(value)[:MAX_SHOWN]
        raise InvalidRequest(f"{shown!r} is not a version; expected a whole number from 1")
    return int(value)


def limit_of(request: Request, default: int, most: int) -> int:
    """The most entries that a query asks for, from 1.

    Raises:
        InvalidRequest: It is no such number.
    """
    text = request.query_params.get("limit", str(default))
    if not _COUNT.fullmatch(text) or not 1 <= int(text) <= most:
        raise InvalidRequest(f"limit is {text[:MAX_SHOWN]!r}, expected a number from 1 to {most}")
    return int(text)


def asked(request: Request, key: str) -> bool:
    """A parameter of a query that is true or false; false if it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    text = request.query_params.get(key, "false")
    if text not in {"true", "false"}:
        raise InvalidRequest(f"{key} is {text[:MAX_SHOWN]!r}, expected true or false")
    return text == "true"


async def command_of(
    action: str, request: Request, token: str, known: tuple[str, ...]
) -> tuple[Command, dict[str, Any]]:
    """The command of a request, and its body.

    Args:
        action: For the record.
        request: Names the model in its path.
        token: Name of the token.
        known: Keys that the body may have.

    Raises:
        InvalidRequest: The body is something else.
    """
    body = await read_body(request)
    check_keys(body, known)
    command = Command(
        action=action,
        model=request.path_params["model"],
        actor=actor_of(token, body),
        reason=reason_of(body),
        generation=generation_of(request, body),
    )
    return command, body


def told(outcome: dict[str, Any]) -> Response:
    """200 once every worker has followed; 202 names those who have not."""
    return answer(outcome, 200 if outcome["converged"] else 202)


async def api_error(_: Request, error: Exception) -> Response:
    """The answer to an error of ours."""
    assert isinstance(error, ApiError)
    response = answer({"error": error.message}, error.status)
    response.headers["x-error-code"] = error.code
    response.raw_headers.extend(error.headers)
    return response


async def http_error(request: Request, error: Exception) -> Response:
    """The answer to an error of Starlette's own."""
    assert isinstance(error, HTTPException)
    return await api_error(request, routing_error(request, error))


async def bug(request: Request, error: Exception) -> Response:
    """The answer to a bug of ours."""
    LOG.error("unexpected error in %s %s", request.method, request.url.path, exc_info=error)
    message = f"internal error ({type(error).__name__}); see the server's log"
    return await api_error(request, InternalError(message))
