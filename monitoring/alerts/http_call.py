"""One attempt to tell one sink over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.monitoring.airflow_login import LOGIN_HEADERS, LOGIN_PATH, login_body, token_in
from penstock.monitoring.http_exchange import Exchange, NoAnswer, one_line

from .reply import Reply
from .signature import key_of, signed_headers
from .template import identity, request

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.monitoring.http_exchange import Answer

    from .alert import Alert
    from .alerts_file import AlertSettings
    from .sink import Sink


class _Refused(Exception):
    """A request before that of the alert was refused, with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.line())
        self.answer = answer


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
        token = _token(sink, url, now)
        if token:
            headers["authorization"] = f"Bearer {token}"
        answer = _exchange(sink).send("POST", made.url, made.body, headers, now)
    except _Refused as refused:
        return _refusal(refused.answer)
    except NoAnswer as error:
        return Reply(0, str(error))
    except (OSError, ValueError) as error:
        return Reply(0, one_line(f"{type(error).__name__}: {error}"))
    if answer.done:
        return Reply(answer.status, answer.line(), done=True)
    if answer.status in made.done:
        return Reply(answer.status, f"{answer.status}, had it already", done=True)
    return _refusal(answer)


def _refusal(answer: Answer) -> Reply:
    return Reply(answer.status, answer.line(), answer.retry_after)


def _exchange(sink: Sink) -> Exchange:
    return Exchange(sink.timeout_seconds, sink.ca_file)


def _token(sink: Sink, url: str, now: float) -> str:
    """A bearer token: from its file, or asked of Airflow with a user's password."""
    if sink.login_file is None:
        return _content(sink.token_file).strip()
    body = login_body(_content(sink.login_file).strip())
    asked = f"{url.rstrip('/')}{LOGIN_PATH}"
    answer = _exchange(sink).send("POST", asked, body, LOGIN_HEADERS, now)
    if not answer.done:
        raise _Refused(answer)
    return token_in(answer.content)


def _content(path: Path | None) -> str:
    return "" if path is None else path.read_text()
