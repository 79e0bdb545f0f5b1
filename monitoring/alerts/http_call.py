"""One attempt to tell one sink over HTTP.

The standard library's client is enough: alerts are rare, so there is no connection to keep, and it
honours the usual proxy variables. Redirects are not followed: a signed request goes where the
configuration says, nowhere else.
"""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final

import orjson

from penstock.monitoring.distribution import server_version

from .reply import Reply
from .signature import key_of, signed_headers
from .template import identity, request

if TYPE_CHECKING:
    from pathlib import Path

    from .alert import Alert
    from .alerts_file import AlertSettings
    from .sink import Sink
    from .template import Request

_MAX_REPLY_BYTES: Final = 64 * 1024
_MAX_DETAIL: Final = 200


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Leave the answer as it is; 3xx then counts as an error."""


def tell(alert: Alert, sink: Sink, settings: AlertSettings, now: float) -> Reply:
    """Send one request; each error becomes part of the reply.

    Args:
        alert: The alert to send.
        sink: The sink to send it to.
        settings: Describes the sender.
        now: Unix seconds, in the signature.
    """
    try:
        secret = _content(sink.secret_file)
        url = sink.url or _content(sink.url_file).strip()
        if not url.startswith(("http://", "https://")):
            raise ValueError("url_file holds no http:// or https://")
        made = request(alert, sink, settings, url, secret)
        headers = dict(made.headers)
        if secret and sink.template != "pagerduty":
            headers |= signed_headers(key_of(secret), identity(alert), int(now), made.body)
        token = _token(sink, url)
        if token:
            headers["authorization"] = f"Bearer {token}"
        return _send(made, headers, sink)
    except urllib.error.HTTPError as error:
        with error:
            return Reply(
                error.code, f"{error.code} {_line(_read(error))}".strip(), _wait(error.headers, now)
            )
    except (OSError, HTTPException, ValueError) as error:
        return Reply(0, _line(f"{type(error).__name__}: {error}"))


def _send(made: Request, headers: dict[str, str], sink: Sink) -> Reply:
    headers = headers | {"user-agent": f"penstock/{server_version()}"}
    call = urllib.request.Request(made.url, made.body, headers, method="POST")  # noqa: S310 - checked
    try:
        with _opener(sink).open(call, timeout=sink.timeout_seconds) as reply:
            return Reply(reply.status, f"{reply.status} {_line(_read(reply))}".strip(), done=True)
    except urllib.error.HTTPError as error:
        if error.code not in made.done:
            raise
        with error:
            return Reply(error.code, f"{error.code}, had it already", done=True)


def _opener(sink: Sink) -> urllib.request.OpenerDirector:
    trusted = ssl.create_default_context(cafile=sink.ca_file)
    return urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=trusted))


def _token(sink: Sink, url: str) -> str:
    """A bearer token: from its file, or asked of Airflow with a user's password."""
    if sink.login_file is None:
        return _content(sink.token_file).strip()
    user, _, password = _content(sink.login_file).strip().partition(":")
    body = orjson.dumps({"username": user, "password": password})
    call = urllib.request.Request(  # noqa: S310 - checked when the file was read
        f"{url.rstrip('/')}/auth/token", body, {"content-type": "application/json"}, method="POST"
    )
    with _opener(sink).open(call, timeout=sink.timeout_seconds) as reply:
        answer = orjson.loads(reply.read(_MAX_REPLY_BYTES))
    if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
        raise ValueError("/auth/token answered without an access_token")  # noqa: TRY004
    return str(answer["access_token"])


def _content(path: Path | None) -> str:
    return "" if path is None else path.read_text()


def _read(reply: Any) -> str:
    content: bytes = reply.read(_MAX_DETAIL)
    return content.decode("utf-8", "replace")


def _line(text: str) -> str:
    return " ".join(text.split())[:_MAX_DETAIL]


def _wait(headers: Any, now: float) -> float:
    """Seconds from ``Retry-After``, which holds seconds or a date."""
    text = headers.get("retry-after", "") if headers is not None else ""
    try:
        return max(
            0.0, float(text) if text.isdigit() else parsedate_to_datetime(text).timestamp() - now
        )
    except (ValueError, OverflowError):
        return 0.0
