"""Gates on the admin port: their reports, and approvals of versions."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from penstock.server.auth.tokens import APPROVE, OBSERVE, OPERATE
from penstock.server.desired_state import state as change
from penstock.server.desired_state.approval import APPROVED, OVERRIDDEN, Approval
from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.errors import Conflict, Forbidden, InvalidRequest
from penstock.server.registry.lineage import lineage

from . import wire
from .openapi import COMMAND, MODEL, Endpoint
from .registry_names import named_version

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.control.coordination.coordinator import Changed, Coordinator
    from penstock.server.desired_state.state import DesiredState

    from .command import Command

    Handler = Callable[[Request, str], Awaitable[Response]]

_GATES: Final = MODEL + "/versions/{version}/gates"
_DIGEST: Final = ("digest", "Of the version, as you looked at it.")
_SHOW: Final = Endpoint("GET", _GATES, "gates", "What a version has shown", OBSERVE)
_RUN: Final = Endpoint(
    "POST", _GATES + "/run", "gates_run", "Run the gates of a held version again", OPERATE, (),
    COMMAND,
)  # fmt: skip
_APPROVE: Final = Endpoint(
    "POST", _GATES + "/approve", "gates_approve",
    "Approve a version, with another name than who pushed it", APPROVE, (), (_DIGEST, *COMMAND),
)  # fmt: skip
_OVERRIDE: Final = Endpoint(
    "POST", _GATES + "/override", "gates_override",
    "Let a version in whatever its gates say; needs a reason", APPROVE, (), (_DIGEST, *COMMAND),
)  # fmt: skip
_KEYS: Final = ("digest", "reason", "generation", "by")
_DAY_SECONDS: Final = 86_400.0


class GatesApi:
    """Its endpoints and who answers them.

    Args:
        coordinator: Knows the versions and their reports.
        registry: The model repository.
        clock: Unix seconds.
    """

    def __init__(
        self, coordinator: Coordinator, registry: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._coordinator = coordinator
        self._registry = registry
        self._clock = clock

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {
            _SHOW: self._show,
            _RUN: self._run,
            _APPROVE: self._approve,
            _OVERRIDE: self._override,
        }

    async def _show(self, request: Request, _: str) -> Response:
        model, version = named_version(self._coordinator, request)
        return wire.answer(await self._told(model, version))

    async def _run(self, request: Request, actor: str) -> Response:
        model, version = named_version(self._coordinator, request)
        await wire.command_of("gates.again", request, actor, _KEYS[1:])
        admission = self._coordinator.planner.admission
        await asyncio.to_thread(admission.forget, model, version)
        await self._coordinator.refresh()
        return wire.answer(await self._told(model, version))

    async def _approve(self, request: Request, actor: str) -> Response:
        return await self._let_in(APPROVED, request, actor)

    async def _override(self, request: Request, actor: str) -> Response:
        return await self._let_in(OVERRIDDEN, request, actor)

    async def _let_in(self, action: str, request: Request, actor: str) -> Response:
        model, version = named_version(self._coordinator, request)
        command, body = await wire.command_of(action, request, actor, _KEYS)
        if action == OVERRIDDEN and not command.reason:
            raise InvalidRequest("who lets a version in whatever its gates say gives a reason")
        digest = body.get("digest")
        if not isinstance(digest, str) or not digest:
            raise InvalidRequest("the body names no digest: that of the version you looked at")
        known = self._digest(model, version)
        if digest != known:
            raise Conflict(
                f"version {version} of model {model!r} has the digest {known or 'not known yet'}, "
                f"not {digest[: wire.MAX_SHOWN]}; look again"
            )
        options = self._coordinator.planner.findings.snapshot.models[model].config.gates
        if action == APPROVED or options.approval:  # else one person alone may overrule a gate
            await asyncio.to_thread(self._check_person, model, version, digest, command)
        now = self._clock()
        until = now + options.approval_days * _DAY_SECONDS
        approval = Approval(
            version, digest, command.actor, now, until, override=action == OVERRIDDEN
        )

        def changed(state: DesiredState, _: frozenset[int]) -> Changed:
            change.check_generation(state, command.generation)
            after = change.approve(state, model, approval)
            return after, _event(command, approval, after.generation)

        await self._coordinator.commit(model, changed)
        await self._coordinator.refresh()
        return wire.answer(await self._told(model, version))

    def _check_person(self, model: str, version: int, digest: str, command: Command) -> None:
        """Whether the actor is another person than who pushed these files. Blocking.

        Raises:
            Conflict: The registry has other files under this number.
            Forbidden: It is the same name.
        """
        manifest = lineage(self._registry, model, version).manifest
        if manifest is not None and manifest.digest != digest:
            raise Conflict(
                f"the registry has other files of version {version} of model {model!r} now, "
                f"{manifest.digest}: nobody knows who pushed those with {digest}"
            )
        pushed_by = "" if manifest is None else manifest.pushed_by
        if pushed_by and pushed_by in command.actor.split("/"):
            raise Forbidden(
                f"{pushed_by} pushed version {version} of model {model!r}; another person has to "
                "approve it"
            )

    def _pushed_by(self, model: str, version: int) -> str:
        manifest = lineage(self._registry, model, version).manifest
        return "" if manifest is None else manifest.pushed_by

    def _digest(self, model: str, version: int) -> str:
        result = self._coordinator.planner.findings.results.get((model, version))
        return "" if result is None else result.digest

    async def _told(self, model: str, version: int) -> dict[str, Any]:
        """What is known of the gates of a version."""
        coordinator = self._coordinator
        planner, key = coordinator.planner, (model, version)
        result = planner.findings.results.get(key)
        report = await asyncio.to_thread(planner.admission.report, model, version)
        gates = planner.findings.snapshot.models[model].config.gates
        asked = gates.measured or gates.approval
        approvals = coordinator.store.state.model(model).approvals
        state = "not asked"
        if asked:
            held = result is not None and result.directory is None
            state = "not wanted" if result is None else "held" if held else "let in"
            state = "running" if key in planner.findings.unanswered else state
        return {
            "model": model,
            "version": version,
            "digest": self._digest(model, version),
            "pushed_by": await asyncio.to_thread(self._pushed_by, model, version),
            "state": state,
            "reason": "" if result is None or state != "held" else result.reason,
            "report": None if report is None else report.to_json(),
            "approvals": [asdict(one) for one in approvals if one.version == version],
        }


def _event(command: Command, approval: Approval, generation: int) -> AuditEvent:
    return AuditEvent(
        command.action,
        command.actor,
        command.model,
        reason=command.reason,
        evidence={
            "version": approval.version,
            "digest": approval.digest,
            "at": approval.at,
            "until": approval.until,
        },
        generation=generation,
    )
