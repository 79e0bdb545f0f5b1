"""Messages of Alertmanager: what they say of models, and what is refused whole."""

from __future__ import annotations

import pytest

from penstock.server.control.api.alertmanager import MAX_ALERTS, alarms_of
from penstock.server.errors import InvalidRequest
from penstock.server.rollout.vetoes import Alarm


def alert(status="firing", **labels):
    return {
        "status": status,
        "labels": {"alertname": "Slow", "instance": "a:1", **labels},
        "annotations": {"summary": "it is slow"},
        "startsAt": "2031-05-01T12:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "f1",
    }


def message(*alerts, **changes):
    return {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "penstock",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": list(alerts),
        **changes,
    }


def test_each_alert_of_a_model_is_an_alarm_or_its_end():
    found = alarms_of(message(alert(model="m", version="3"), alert("resolved", model="m")), 7.0)
    assert found == [
        Alarm("f1", "Slow", "m", "3", firing=True, at=7.0),
        Alarm("f1", "Slow", "m", "", firing=False, at=7.0),
    ]


def test_an_alert_about_no_model_is_left_out():
    assert alarms_of(message(alert(), alert(model="")), 7.0) == []


def test_without_a_fingerprint_the_labels_are_the_key():
    first, again, other = alert(model="m"), alert("resolved", model="m"), alert(model="n")
    for one in (first, again, other):
        del one["fingerprint"]
    keys = [one.key for one in alarms_of(message(first, again, other), 7.0)]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({}, "version is None"),
        (message(version="3"), "version is '3'"),
        (message(alerts={}), "must be a list"),
        (message(*[alert()] * (MAX_ALERTS + 1)), "at most"),
        (message(alert(), 7), "alert 2 has no labels"),
        (message({"labels": {}}), "status of alert 1 is None"),
        (message(alert(model=7)), "label model of alert 1"),
        (message(alert(model="m", alertname="x" * 300)), "label alertname"),
    ],
)
def test_anything_else_is_refused_with_a_reason(payload, said):
    with pytest.raises(InvalidRequest, match=said):
        alarms_of(payload, 7.0)
