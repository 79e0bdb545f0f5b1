"""Erasing on the admin port: what is kept of a person, or of some requests. On record, both ways.

The record names a subject by its keyed hash alone: the audit log is not where a name should stay.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.distribution import python_command
from penstock.monitoring.samples.privacy import hash_value
from penstock.server.auth.tokens import OPERATE
from penstock.server.config.log_privacy import log_key
from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.errors import InvalidRequest, Unavailable

from . import wire
from .openapi import Endpoint
from .registry_names import check_model

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.control.coordination.coordinator import Coordinator

    from .routes import Handler

_MAX_REQUESTS: Final = 500
_ERASE: Final = Endpoint(
    "POST",
    "/admin/models/{model}/erase",
    "erase",
    "Erase what is kept of a subject, or of some requests",
    OPERATE,
    body=(
        ("subject", "Value of the field that model.toml names as the subject."),
        ("request_ids", f"Or request ids, at most {_MAX_REQUESTS}."),
        ("reason", "For the record; needed."),
        ("by", "Who, beside the token's name."),
    ),
)


class EraseApi:
    """Its endpoint and who answers it.

    Args:
        coordinator: Knows the models and keeps the record.
        state_dir: State directory of the server.
    """

    def __init__(self, coordinator: Coordinator, state_dir: Path) -> None:
        self._coordinator = coordinator
        self._state_dir = state_dir
        self._one_at_a_time = asyncio.Lock()

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {_ERASE: self._erase}

    async def _erase(self, request: Request, actor: str) -> Response:
        body = await wire.read_body(request)
        wire.check_keys(body, tuple(name for name, _ in _ERASE.body))
        model, reason = request.path_params["model"], wire.reason_of(body)
        if not reason:
            raise InvalidRequest("who erases something gives a reason")
        wanted, evidence = self._wanted(model, body)
        event = AuditEvent(
            "erase", wire.actor_of(actor, body), model, reason=reason, evidence=evidence
        )
        async with self._one_at_a_time:
            await asyncio.to_thread(self._coordinator.store.note, event)
            found = await asyncio.to_thread(_run, self._state_dir / "monitor", wanted)
            done = AuditEvent("erased", event.actor, model, evidence={**evidence, **found})
            await asyncio.to_thread(self._coordinator.store.note, done)
        if "error" in found:
            raise Unavailable(f"not everything is erased: {found['error']}")
        return wire.answer({"model": model, **found})

    def _wanted(self, model: str, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Column and values to look for, and what the record says of them."""
        ids, subject = body.get("request_ids"), body.get("subject")
        if (ids is None) == (subject is None):
            raise InvalidRequest("name a subject or request_ids, and not both")
        if ids is not None:
            texts = isinstance(ids, list) and all(isinstance(one, str) for one in ids)
            if not texts or not 0 < len(ids) <= _MAX_REQUESTS:
                raise InvalidRequest(f"request_ids must be 1 to {_MAX_REQUESTS} texts")
            return {"model": model, "column": "request_id", "values": ids}, {"request_ids": ids}
        if not isinstance(subject, str | int) or isinstance(subject, bool) or subject == "":
            raise InvalidRequest("subject must be a text or a whole number")
        check_model(self._coordinator, model)
        entry = self._coordinator.planner.findings.snapshot.models[model]
        column = entry.config.log.subject
        if not column:
            raise InvalidRequest(f"model.toml of {model} names no subject; see [log]")
        # As it is, and as its hash: what is hashed now may not have been always.
        name = str(subject)
        hashed = hash_value(name.encode(), log_key(self._state_dir)).decode()
        wanted = {"model": model, "column": column, "values": [name, hashed]}
        return wanted, {"subject_hash": hashed}


def _run(state: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """Erase in a process of its own, which may need much memory for a moment."""
    command = python_command("-m", "penstock.monitoring.prediction_log.erase", str(state))
    done = subprocess.run(  # noqa: S603  our own interpreter and module
        command, input=json.dumps(wanted).encode(), stdout=subprocess.PIPE, check=False
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"error": f"the process that erases ended with status {done.returncode}"}
    return found
