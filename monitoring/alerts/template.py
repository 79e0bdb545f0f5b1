"""The requests to each kind of receiver. Pure: an alert and a sink give a request.

Sources: CloudEvents 1.0, JSON format; Slack, incoming webhooks; PagerDuty, Events API v2; GitHub,
"create a repository dispatch event"; Airflow 3, ``POST /api/v2/dags/{dag_id}/dagRuns``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

    from .alert import Alert
    from .alerts_file import AlertSettings
    from .sink import Sink

#: What one may run, by the first word of the kind; the model's name is put in.
COMMANDS: Final = {
    "drift": ("penstock drift {model}",),
    "performance": ("penstock performance {model}", "penstock rollback {model}"),
    "quality": ("penstock drift {model}",),
    "rollout": ("penstock rollout report {model}", "penstock history {model}"),
    "slo": ("penstock status", "penstock rollback {model}"),
    "monitor": ("penstock status", "penstock alerts"),
}

_SLACK_TEXT: Final = 2900  # of 3000 in a block
_EMOJI: Final = {"critical": ":red_circle:", "warning": ":large_orange_circle:"}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP POST.

    Attributes:
        url: Address of the receiver.
        body: JSON.
        headers: Without those of the signature and of the authorization.
        done: Statuses that mean it is done, beside 2xx.
    """

    url: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    done: frozenset[int] = frozenset()


def identity(alert: Alert) -> str:
    """Names what is told: the same at each attempt, so that a receiver takes it once."""
    return f"{alert.episode}/{alert.state}"


def request(alert: Alert, sink: Sink, settings: AlertSettings, url: str, secret: str) -> Request:
    """The HTTP request that gives an alert to a sink.

    Args:
        alert: The alert to send.
        sink: The sink to send it to.
        settings: Describes the sender.
        url: URL of the sink; a file may hold it.
        secret: Secret of the sink, for receivers that want it in the body.
    """
    body, at, done = _TEMPLATES[sink.template](alert, sink, settings, url, secret)
    kind = "application/cloudevents+json" if sink.template == "cloudevent" else "application/json"
    headers = {
        "content-type": f"{kind}; charset=utf-8",
        "idempotency-key": _token(identity(alert)),
    }
    if sink.template == "github":
        headers |= {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
    return Request(at, orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS), headers, done)


def told(alert: Alert, settings: AlertSettings) -> dict[str, Any]:
    """An alert with what helps: who to ask, where to read, what to run."""
    commands = COMMANDS.get(alert.kind.partition(".")[0], ()) if alert.model else ()
    return {
        "kind": alert.kind,
        "state": alert.state,
        "severity": alert.severity,
        "model": alert.model,
        "version": alert.version,
        "subject": alert.subject,
        "episode": alert.episode,
        "summary": alert.summary,
        "evidence": dict(alert.evidence),
        "owner": settings.owner,
        "runbook_url": settings.runbook_url,
        "commands": [one.format(model=alert.model) for one in commands],
    }


def _cloudevent(
    alert: Alert, _: Sink, settings: AlertSettings, url: str, __: str
) -> tuple[dict[str, Any], str, frozenset[int]]:
    about = "/".join(one for one in (alert.model, alert.version, alert.subject) if one)
    event = {
        "specversion": "1.0",
        "id": identity(alert),
        "source": settings.source,
        "type": f"penstock.{alert.name}",
        "time": _timestamp(alert.time),
        "datacontenttype": "application/json",
        "data": told(alert, settings),
    }
    if about:
        event["subject"] = about
    return event, url, frozenset()


def _slack(
    alert: Alert, _: Sink, settings: AlertSettings, url: str, __: str
) -> tuple[dict[str, Any], str, frozenset[int]]:
    mark = _EMOJI.get(alert.severity, ":information_source:")
    if not alert.opened:
        mark = ":white_check_mark:"
    words = told(alert, settings)
    about = [f"`{alert.name}`", settings.source, _timestamp(alert.time)]
    about += [f"owner {settings.owner}"] if settings.owner else []
    about += [f"<{settings.runbook_url}|runbook>"] if settings.runbook_url else []
    about += [f"`{one}`" for one in words["commands"]]
    text = f"{mark} {_mrkdwn(alert.summary)}"
    body = {
        "text": text[:_SLACK_TEXT],
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": text[:_SLACK_TEXT]}},
            {
                "type": "context",
                "elements": [{"type": "mrkdwn", "text": "  ·  ".join(about)[:_SLACK_TEXT]}],
            },
        ],
    }
    return body, url, frozenset()


def _pagerduty(
    alert: Alert, _: Sink, settings: AlertSettings, url: str, secret: str
) -> tuple[dict[str, Any], str, frozenset[int]]:
    body: dict[str, Any] = {
        "routing_key": secret.strip(),
        "event_action": "trigger" if alert.opened else "resolve",
        "dedup_key": _token(alert.episode),
        "client": "Penstock",
        "payload": {
            "summary": alert.summary[:1024],
            "source": settings.source,
            "severity": alert.severity,
            "timestamp": _timestamp(alert.time),
            "component": alert.model or "server",
            "class": alert.kind,
            "custom_details": told(alert, settings),
        },
    }
    if settings.runbook_url:
        body["links"] = [{"href": settings.runbook_url, "text": "runbook"}]
    return body, url, frozenset()


def _github(
    alert: Alert, sink: Sink, settings: AlertSettings, url: str, _: str
) -> tuple[dict[str, Any], str, frozenset[int]]:
    # At most 10 keys at the top of a client payload, hence one table.
    payload = {"alert": told(alert, settings), "source": settings.source, **dict(sink.conf)}
    body = {"event_type": f"penstock.{alert.name}"[:100], "client_payload": payload}
    return body, f"{url.rstrip('/')}/repos/{sink.repository}/dispatches", frozenset()


def _airflow(
    alert: Alert, sink: Sink, settings: AlertSettings, url: str, _: str
) -> tuple[dict[str, Any], str, frozenset[int]]:
    body = {
        "dag_run_id": f"penstock__{_token(alert.episode)}",
        "logical_date": None,
        "conf": {**dict(sink.conf), "alert": told(alert, settings)},
        "note": alert.summary[:1000],
    }
    at = f"{url.rstrip('/')}/api/v2/dags/{quote(sink.dag, safe='')}/dagRuns"
    return body, at, frozenset({409})  # a run of this id exists: it was asked for before


def _log(
    alert: Alert, _: Sink, settings: AlertSettings, __: str, ___: str
) -> tuple[dict[str, Any], str, frozenset[int]]:
    return told(alert, settings), "", frozenset()


_TEMPLATES: Final[
    dict[
        str,
        Callable[
            [Alert, Sink, AlertSettings, str, str], tuple[dict[str, Any], str, frozenset[int]]
        ],
    ]
] = {
    "cloudevent": _cloudevent,
    "slack": _slack,
    "pagerduty": _pagerduty,
    "github": _github,
    "airflow": _airflow,
    "log": _log,
}


def _token(text: str) -> str:
    """The text in letters that every receiver takes, at most 150, and no two texts alike."""
    plain = re.sub(r"[^A-Za-z0-9_.~:+-]+", "_", text)
    return f"{plain[:130]}_{blake2b(text.encode(), digest_size=8).hexdigest()}"


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _mrkdwn(text: str) -> str:
    """Text in which Slack sees no markup of links or mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
