"""Reads the webhook of Prometheus Alertmanager as alarms about models. Pure.

The payload is version 4 of its ``webhook_config``. An alert counts when its labels name a model;
a label ``version`` narrows it to one version. ``fingerprint`` is the same when an alert fires, is
repeated, and is over; it is made of the labels where an old Alertmanager does not send it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from penstock.server.errors import InvalidRequest
from penstock.server.rollout.vetoes import Alarm

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Of the payload.
VERSION: Final = "4"
#: Alerts of one message; Alertmanager groups them and can be told to cut (``max_alerts``).
MAX_ALERTS: Final = 1000
_MAX_LABEL: Final = 256
_STATES: Final = ("firing", "resolved")


def alarms_of(payload: Mapping[str, Any], now: float) -> list[Alarm]:
    """The alarms of a message, and the ends of alarms; alerts about no model are left out.

    Args:
        payload: Decoded.
        now: Unix seconds.

    Raises:
        InvalidRequest: It is not such a message; nothing of it counts.
    """
    version, alerts = payload.get("version"), payload.get("alerts")
    if version != VERSION:
        raise InvalidRequest(
            f"version is {version!r}, expected {VERSION!r}: a message of Alertmanager's "
            "webhook_config"
        )
    if not isinstance(alerts, list) or len(alerts) > MAX_ALERTS:
        raise InvalidRequest(f"alerts must be a list of at most {MAX_ALERTS}")
    found = (_alarm(alert, number, now) for number, alert in enumerate(alerts, 1))
    return [one for one in found if one is not None]


def _alarm(alert: Any, number: int, now: float) -> Alarm | None:
    labels = alert.get("labels") if isinstance(alert, dict) else None
    if not isinstance(labels, dict):
        raise InvalidRequest(f"alert {number} has no labels")
    status = alert.get("status")
    if status not in _STATES:
        raise InvalidRequest(
            f"status of alert {number} is {status!r}, expected {' or '.join(_STATES)}"
        )
    texts = {name: labels.get(name, "") for name in ("model", "version", "alertname")}
    for name, value in texts.items():
        if not isinstance(value, str) or len(value) > _MAX_LABEL:
            raise InvalidRequest(
                f"label {name} of alert {number} must be a text of at most {_MAX_LABEL} characters"
            )
    if not texts["model"]:
        return None
    key = alert.get("fingerprint")
    if not isinstance(key, str) or not 0 < len(key) <= _MAX_LABEL:
        canonical = json.dumps(labels, sort_keys=True).encode()
        key = hashlib.sha256(canonical).hexdigest()
    name = texts["alertname"] or key
    return Alarm(key, name, texts["model"], texts["version"], status == "firing", now)
