"""Texts that UTF-8 cannot write: refused at borders, spelled out where something must be told."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import suppress

import orjson
import pytest
from starlette.requests import Request

from penstock.monitoring.alerts.alert import Alert
from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.alerts.reading import read_alerts
from penstock.monitoring.feedback.label import LabelError, parse_label
from penstock.monitoring.text import clean, clean_content, find_bad, is_text
from penstock.server.control.api import wire
from penstock.server.control.coordination.rollout_alerts import RolloutAlerts
from penstock.server.desired_state.audit_record import AuditEvent, make_record
from penstock.server.errors import InvalidRequest

#: As JSON and command lines bring them.
BAD = ("\ud800", "a\udfffb", "\udc80\udce9", "\0", "x\0y", "\ud83d", "\ude00\ud83d")
GOOD = ("", "ü", "\U0001f600", "a\nb\tc", "\x7f", "\ufffe")
NOW = 1_700_000_000.0


@pytest.mark.parametrize("text", BAD)
def test_what_is_cleaned_can_be_written_and_nothing_else_changes(text):
    assert not is_text(text)
    assert is_text(clean(text))
    assert clean(text).encode().decode() == clean(text)
    for content in ({text: 1}, [[text]], {"a": {"b": [text]}}, text):
        assert find_bad(content)
        orjson.dumps(clean_content(content))
    for good in GOOD:
        assert is_text(good)
        assert clean(good) == good
        assert find_bad({good: [good]}) is None


def read(content):
    """The body of a request to the admin port."""

    async def receive():
        return {"type": "http.request", "body": json.dumps(content).encode(), "more_body": False}

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(b"content-type", b"application/json")],
        "query_string": b"",
    }
    return asyncio.run(wire.read_body(Request(scope, receive)))


@pytest.mark.parametrize("text", BAD)
def test_the_admin_port_refuses_it_wherever_it_is_in_a_body(text):
    for body in ({"reason": text}, {text: "r"}, {"by": [{"deep": text}]}):
        with pytest.raises(InvalidRequest, match="lone surrogate or a NUL") as caught:
            read(body)
        caught.value.message.encode()
    with pytest.raises(InvalidRequest, match="must be a text"):
        wire.reason_of({"reason": text})
    assert wire.reason_of(read({"reason": "\u00fc"})) == "\u00fc"


@pytest.mark.parametrize("text", BAD)
def test_an_alert_is_told_whatever_is_in_it(tmp_path, text):
    alert_store = AlertStore(tmp_path / "alerts.db")
    named = {"model": text, "version": text, "subject": text, "summary": f"s {text}"}
    how = {"severity": "info", "opened": True, "time": NOW}
    evidence = {text: text, "deep": [{"a": (text, float("nan"))}], "odd": object()}
    assert alert_store.put(Alert("drift", episode=f"e{text}", **named, **how, evidence=evidence))
    assert not alert_store.put(Alert("drift", episode=f"e{text}", **named, **how))
    (told,) = read_alerts(tmp_path / "alerts.db", 5)
    json.dumps(told.to_json(), ensure_ascii=False).encode()
    assert alert_store.open_episodes()[0].summary == f"s {clean(text)}"


def record(seq, reason, **about):
    evidence = {"rollout": {"phase": "aborted", "id": "r1", **about}, "version": 2}
    event = AuditEvent("rollout", "controller", "m", {"phase": "canary"}, {}, reason, evidence, 1)
    return make_record(seq, "2031-05-01T12:00:00.000Z", event, "0" * 64)


def newest(path):
    with suppress(sqlite3.Error):  # it is just being made
        return "".join(one.alert.summary for one in read_alerts(path, 1))
    return ""


def test_one_bad_record_keeps_no_other_from_being_told(tmp_path):
    """Also of a log that was written by an earlier release."""

    class Outboxes(AlertStore):
        def put(self, alert):
            if "burst" in alert.summary:
                raise RuntimeError("a subscriber that fails")
            return super().put(alert)

    async def main():
        alerts = RolloutAlerts(Outboxes(tmp_path / "alerts.db"))
        alerts.add_past(record(1, "\ud800"))
        alerts.add_past(record(2, "", id=["no", {"id": "\0"}]))
        running = asyncio.create_task(alerts.run())
        alerts.add(record(3, "burst"))
        alerts.add(record(4, "fine"))
        path = tmp_path / "alerts.db"
        while "fine" not in newest(path):
            assert not running.done()
            await asyncio.sleep(0.01)
        running.cancel()
        return [one.alert.summary for one in read_alerts(path, 9)]

    told = asyncio.run(asyncio.wait_for(main(), 30))
    assert len(told) == 3
    assert "\\ud800" in told[2]


@pytest.mark.parametrize("text", [b"caf\xe9", b"\xff", b"a\xed\xa0\x80"])
def test_the_command_line_refuses_bytes_that_are_no_text(text):
    for arguments in ([b"promote", b"m", b"2", b"--reason", text], [b"serve", text], [text]):
        command = [sys.executable, "-m", "penstock.server.cli.main", *arguments]
        done = subprocess.run(command, capture_output=True, check=False)
        assert done.returncode == 2
        assert b"is not UTF-8" in done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("text", BAD)
def test_a_label_is_refused_for_it(text):
    for key in ("request_id", "label", "source", "label_time"):
        with pytest.raises(LabelError) as caught:
            parse_label({"request_id": "a", "label": 1, key: text}, 0, NOW)
        str(caught.value).encode("ascii", "backslashreplace")
