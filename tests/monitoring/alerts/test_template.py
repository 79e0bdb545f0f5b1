"""What is sent has the shape that each receiver documents."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from penstock.monitoring.alerts.alerts_file import AlertSettings
from penstock.monitoring.alerts.post import attempt
from penstock.monitoring.alerts.sink import Sink
from penstock.monitoring.alerts.template import request

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.monitoring.alerts.alert import Alert

    Make = Callable[..., Alert]

SETTINGS = AlertSettings(
    source="prod-eu", owner="risk team", runbook_url="https://example.org/runbook"
)
ROOT = Path(__file__).parents[3]
NOW = 1_930_000_001.7
TEXT = {"type": "string", "minLength": 1}

# From the documentation of each receiver; what is not named there is refused.
CLOUDEVENT = {
    "required": ["id", "source", "specversion", "type"],
    "properties": {
        "id": TEXT,
        "source": TEXT,
        "specversion": {"const": "1.0"},
        "type": TEXT,
        "subject": TEXT,
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "data": {"type": "object"},
    },
    "additionalProperties": False,
}
SLACK_TEXT = {
    "required": ["type", "text"],
    "properties": {"type": {"const": "mrkdwn"}, "text": {**TEXT, "maxLength": 3000}},
    "additionalProperties": False,
}
SLACK = {
    "required": ["text"],
    "properties": {
        "text": TEXT,
        "blocks": {
            "type": "array",
            "maxItems": 50,
            "items": {
                "oneOf": [
                    {
                        "required": ["type", "text"],
                        "properties": {"type": {"const": "section"}, "text": SLACK_TEXT},
                        "additionalProperties": False,
                    },
                    {
                        "required": ["type", "elements"],
                        "properties": {
                            "type": {"const": "context"},
                            "elements": {"type": "array", "maxItems": 10, "items": SLACK_TEXT},
                        },
                        "additionalProperties": False,
                    },
                ]
            },
        },
    },
    "additionalProperties": False,
}
PAGERDUTY = {
    "required": ["routing_key", "event_action", "payload"],
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "maxLength": 255},
        "client": TEXT,
        "links": {
            "type": "array",
            "items": {"required": ["href"], "properties": {"href": TEXT, "text": TEXT}},
        },
        "payload": {
            "required": ["summary", "source", "severity"],
            "properties": {
                "summary": {"type": "string", "maxLength": 1024},
                "source": TEXT,
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": {"type": "string", "format": "date-time"},
                "component": TEXT,
                "group": TEXT,
                "class": TEXT,
                "custom_details": {"type": "object"},
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
GITHUB = {
    "required": ["event_type"],
    "properties": {
        "event_type": {"type": "string", "minLength": 1, "maxLength": 100},
        "client_payload": {"type": "object", "maxProperties": 10},
    },
    "additionalProperties": False,
}
AIRFLOW = {  # TriggerDAGRunPostBody of Airflow 3
    "required": ["logical_date"],
    "properties": {
        "dag_run_id": {
            "type": ["string", "null"],
            "pattern": "^[A-Za-z0-9_.~:+-]+$",
            "maxLength": 250,
        },
        "logical_date": {"type": ["string", "null"]},
        "conf": {"type": ["object", "null"]},
        "note": {"type": ["string", "null"], "maxLength": 1000},
    },
    "additionalProperties": False,
}
CASES = [
    (Sink("s", "cloudevent", "https://a.example/hook"), "https://a.example/hook", CLOUDEVENT),
    (Sink("s", "slack", "https://hooks.slack.com/x"), "https://hooks.slack.com/x", SLACK),
    (Sink("s", "pagerduty", "https://pd/v2/enqueue"), "https://pd/v2/enqueue", PAGERDUTY),
    (
        Sink("s", "github", "https://api.github.com", repository="o/r", conf={"ref": "main"}),
        "https://api.github.com/repos/o/r/dispatches",
        GITHUB,
    ),
    (
        Sink("s", "airflow", "http://a:8080/", dag="re train", conf={"days": 30}),
        "http://a:8080/api/v2/dags/re%20train/dagRuns",
        AIRFLOW,
    ),
]


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize(("sink", "url", "schema"), CASES, ids=[one[0].template for one in CASES])
def test_a_body_has_the_documented_shape(
    an_alert: Make, sink: Sink, url: str, schema: dict[str, Any], opened: bool
) -> None:
    long = {"summary": "x" * 5000, "subject": "é" * 200, "episode": "a/b c" * 40}
    for alert in (an_alert(opened=opened), an_alert(opened=opened, version="", **long)):
        made = request(alert, sink, SETTINGS, sink.url, "k" * 32 + "\n")
        assert made.url == url
        checker = FormatChecker()
        Draft202012Validator({"type": "object"} | schema, format_checker=checker).validate(
            json.loads(made.body)
        )


def body(an_alert: Make, sink: Sink, **changes: Any) -> Any:
    return json.loads(request(an_alert(**changes), sink, SETTINGS, sink.url, "k" * 32).body)


def test_an_event_says_who_what_and_what_to_run(an_alert: Make) -> None:
    event = body(an_alert, CASES[0][0])
    assert event["type"] == "penstock.drift.opened"
    assert event["source"] == "prod-eu"
    assert event["subject"] == "churn/3/age"
    assert event["time"] == "2031-02-27T23:06:40.500+00:00"
    assert event["data"]["evidence"] == {"psi": 0.31, "rows": 500}
    assert event["data"]["commands"] == ["penstock drift churn"]
    assert event["data"]["owner"] == "risk team"
    assert event["data"]["runbook_url"] == "https://example.org/runbook"


def test_slack_sees_no_markup_in_names(an_alert: Make) -> None:
    text = body(an_alert, CASES[1][0], summary="<!channel> & <http://x|y>")["text"]
    assert text == ":large_orange_circle: &lt;!channel&gt; &amp; &lt;http://x|y&gt;"


def test_pagerduty_resolves_what_it_was_told_of(an_alert: Make) -> None:
    opened = body(an_alert, CASES[2][0])
    closed = body(an_alert, CASES[2][0], opened=False)
    assert (opened["event_action"], closed["event_action"]) == ("trigger", "resolve")
    assert opened["dedup_key"] == closed["dedup_key"]


def test_runs_of_different_episodes_have_different_ids(an_alert: Make) -> None:
    one, two, again = (
        body(an_alert, CASES[4][0], episode=name)["dag_run_id"] for name in ("a/b", "a b", "a/b")
    )
    assert one != two
    assert one == again


def test_a_conf_cannot_replace_the_alert(an_alert: Make) -> None:
    sink = Sink("s", "airflow", "http://a", dag="d", conf={"alert": "gone", "days": 30})
    conf = body(an_alert, sink)["conf"]
    assert conf["alert"]["model"] == "churn"
    assert conf["days"] == 30


def test_a_token_is_read_for_each_request(receiver: Any, an_alert: Make, tmp_path: Path) -> None:
    token = tmp_path / "token"
    sink = Sink("s", "github", receiver.url, token_file=token, repository="o/r")
    for text in ("one\n", "two"):
        token.write_text(text)
        attempt(an_alert(), sink, SETTINGS, NOW)
    assert [one.headers["authorization"] for one in receiver.received] == [
        "Bearer one",
        "Bearer two",
    ]
    assert receiver.received[0].headers["accept"] == "application/vnd.github+json"


def test_airflow_is_asked_for_a_token_first(receiver: Any, an_alert: Make, tmp_path: Path) -> None:
    (tmp_path / "login").write_text("penstock:pass:word\n")
    receiver.answer(201, body=b'{"access_token": "jwt"}')
    sink = Sink("s", "airflow", receiver.url, login_file=tmp_path / "login", dag="d")
    assert attempt(an_alert(), sink, SETTINGS, NOW).done
    login, run = receiver.received
    assert (login.path, login.json) == (
        "/auth/token",
        {"username": "penstock", "password": "pass:word"},
    )
    assert run.headers["authorization"] == "Bearer jwt"


def test_a_url_from_a_file_leads_to_no_local_file(an_alert: Make, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("file:///etc/passwd")
    sink = Sink("s", "slack", url_file=tmp_path / "url")
    reply = attempt(an_alert(), sink, SETTINGS, NOW)
    assert "http://" in reply.detail
    assert not reply.done


def test_tls_is_verified(an_alert: Make, tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    class Server(HTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that does not trust us hangs up."""

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        url = f"https://localhost:{server.server_port}"
        refused = attempt(an_alert(), Sink("s", url=url), SETTINGS, NOW)
        assert not refused.done
        assert "CERTIFICATE_VERIFY_FAILED" in refused.detail
        assert attempt(an_alert(), Sink("s", url=url, ca_file=cert), SETTINGS, NOW).done
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_details_are_one_short_line(receiver: Any, an_alert: Make) -> None:
    receiver.answer(500, body=b"<html>\n" + b"x" * 100_000)
    reply = attempt(an_alert(), Sink("s", url=receiver.url), SETTINGS, NOW)
    assert re.fullmatch(r"500 <html> x+", reply.detail)
    assert len(reply.detail) < 250
