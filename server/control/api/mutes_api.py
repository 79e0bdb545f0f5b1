"""Mutes on the admin port: what nobody is told of, until when and why."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from penstock.monitoring.alerts.alert import MOMENTS
from penstock.monitoring.alerts.mutes import (
    MAX_MUTES,
    MAX_SECONDS,
    Mute,
    MutesFile,
    TooManyMutes,
)
from penstock.server.auth.tokens import OBSERVE, OPERATE
from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.errors import Conflict, InvalidRequest, NotFound
from penstock.server.files.duration import Duration

from . import wire
from .openapi import Endpoint
from .registry_names import check_model, check_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.control.coordination.coordinator import Coordinator

    from .routes import Handler

_KIND: Final = re.compile(r"[a-z]{1,32}([._][a-z]{1,32}){0,3}")
#: Kinds of alerts that are of a feature or a field, by their first word.
_OF_FEATURES: Final = ("drift", "quality")
#: Characters of the name of a feature.
_LONGEST: Final = 300
_DAYS: Final = int(MAX_SECONDS // 86_400)
_WHO: Final = (
    ("reason", "Why; it is on record."),
    ("by", "Who uses the token; it is on record."),
)

_SHOW: Final = Endpoint("GET", "/admin/mutes", "mutes", "What nobody is told of", OBSERVE)
_MUTE: Final = Endpoint(
    "POST", "/admin/mutes", "mute", "Tell nobody of a model's alerts for a time", OPERATE, (),
    (
        ("model", "Name of the model."),
        ("kind", "Kind of the alerts, such as drift, performance, quality; drift by default."),
        ("version", "Only of this version."),
        ("feature", "Only of this feature or field; for drift and quality."),
        ("for", f"How long, such as 4h or 7d; at most {_DAYS}d."),
        *_WHO,
    ),
)  # fmt: skip
_UNMUTE: Final = Endpoint(
    "DELETE", "/admin/mutes/{mute}", "unmute", "End a mute before its time", OPERATE, (), _WHO
)


class MutesApi:
    """Its endpoints and who answers them.

    Args:
        coordinator: Knows the models, and keeps the audit log.
        mutes: The mutes.
        clock: Unix seconds.
    """

    def __init__(
        self, coordinator: Coordinator, mutes: MutesFile, clock: Callable[[], float] = time.time
    ) -> None:
        self._coordinator = coordinator
        self._mutes = mutes
        self._clock = clock

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {_SHOW: self._show, _MUTE: self._mute, _UNMUTE: self._unmute}

    async def _show(self, _: Request, __: str) -> Response:
        mutes = await asyncio.to_thread(self._in_force)
        return wire.answer({"mutes": [msgspec.structs.asdict(one) for one in mutes]})

    async def _mute(self, request: Request, actor: str) -> Response:
        body = await wire.read_body(request)
        wire.check_keys(body, ("model", "kind", "version", "feature", "for", "reason", "by"))
        mute = self._asked(body, wire.actor_of(actor, body))

        def add() -> None:
            if len(self._in_force()) >= MAX_MUTES:
                raise TooManyMutes
            self._note("mute", mute, mute.by, mute.reason, None, _rfc3339(mute.until))
            self._mutes.add(mute)

        try:
            await asyncio.to_thread(add)
        except TooManyMutes:
            raise Conflict(f"there are {MAX_MUTES} mutes; end one of them first") from None
        return wire.answer(msgspec.structs.asdict(mute))

    async def _unmute(self, request: Request, actor: str) -> Response:
        body = await wire.read_body(request)
        wire.check_keys(body, ("reason", "by"))
        asked = request.path_params["mute"]
        who, reason = wire.actor_of(actor, body), wire.reason_of(body)

        def remove() -> Mute:
            found = next((one for one in self._in_force() if one.id == asked), None)
            if found is None:
                raise NotFound(f"there is no mute {asked[: wire.MAX_SHOWN]!r}; it may be over")
            self._note("unmute", found, who, reason, _rfc3339(found.until), None)
            self._mutes.remove(found)
            return found

        return wire.answer(msgspec.structs.asdict(await asyncio.to_thread(remove)))

    def _in_force(self) -> list[Mute]:
        now = self._clock()
        return [one for one in self._mutes.current() if one.until > now]

    def _asked(self, body: dict[str, Any], by: str) -> Mute:
        """The mute that a request asks for."""
        model, kind = body.get("model", ""), body.get("kind", "drift")
        check_model(self._coordinator, model)
        if not isinstance(kind, str) or not _KIND.fullmatch(kind):
            shown = str(kind)[: wire.MAX_SHOWN]
            raise InvalidRequest(f"kind is {shown!r}, expected a kind of alerts, such as drift")
        if kind.partition(".")[0] in MOMENTS:
            raise InvalidRequest(f"alerts of the kind {kind} tell of a moment and are not muted")
        version = body.get("version", "")
        if version != "":
            check_version(self._coordinator, model, wire.version_of(version))
        feature = _feature_of(body, kind)
        try:
            seconds = Duration.parse(body.get("for"))
        except ValueError as error:
            raise InvalidRequest(f"for: {error}") from None
        if not 0 < seconds <= MAX_SECONDS:
            raise InvalidRequest(f"for is {seconds:g} s, expected more than 0, at most {_DAYS}d")
        now = self._clock()
        return Mute(
            id=secrets.token_hex(6),
            model=model,
            kind=kind,
            version=str(version),
            since=now,
            until=now + seconds,
            by=by,
            reason=wire.needed_reason_of(body),
            feature=feature,
        )

    def _note(
        self, action: str, mute: Mute, who: str, reason: str, before: str | None, after: str | None
    ) -> None:
        """Put it on record before it happens."""
        self._coordinator.store.note(
            AuditEvent(
                action,
                who,
                mute.model,
                before={mute.kind: before},
                after={mute.kind: after},
                reason=reason,
                evidence={"mute": mute.id, "kind": mute.kind, "version": mute.version}
                | ({"feature": mute.feature} if mute.feature else {}),
                generation=self._coordinator.store.state.generation,
            )
        )


def _feature_of(body: dict[str, Any], kind: str) -> str:
    """The feature that a request names; empty for all."""
    feature = body.get("feature", "")
    if not isinstance(feature, str) or len(feature) > _LONGEST:
        shown = str(feature)[: wire.MAX_SHOWN]
        raise InvalidRequest(
            f"feature is {shown!r}, expected the name of a feature of at most {_LONGEST} characters"
        )
    if feature and kind.partition(".")[0] not in _OF_FEATURES:
        raise InvalidRequest(
            f"alerts of the kind {kind} are of no feature; leave feature out, or mute "
            f"{' or '.join(_OF_FEATURES)}"
        )
    return feature


def _rfc3339(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
