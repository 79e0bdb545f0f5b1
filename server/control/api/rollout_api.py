"""The endpoints of rollouts on the admin port."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from penstock.server.auth.tokens import APPROVE, OBSERVE, OPERATE
from penstock.server.errors import InvalidRequest, NotFound
from penstock.server.rollout.options import ASKED
from penstock.server.rollout.rollout_spec import Kind

from . import records, wire
from .alertmanager import alarms_of
from .answer_schemas import OUTCOME
from .openapi import COMMAND, MODEL, Endpoint, command
from .rollout_operations import ACTIONS
from .rollout_plan import SUPPOSED
from .rollout_report import report, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.control.coordination.coordinator import Coordinator
    from penstock.server.control.coordination.rollout_controller import Progress, RolloutController
    from penstock.server.rollout.vetoes import Vetoes

    from .rollout_operations import RolloutOperations
    from .routes import Handler
    from .traffic import TrafficWindow

_ROLLOUT: Final = MODEL + "/rollout"
_COMMAND_KEYS: Final = ("reason", "generation", "by")
_START_KEYS: Final = ("kind", "version", *ASKED, *_COMMAND_KEYS)
_START: Final = (
    ("kind", "canary, shadow or ab; canary by default."),
    ("version", "The candidate."),
    ("steps", "Of a canary: its shares in percent, ascending; 100 at the end promotes it."),
    ("percent", "Of a shadow or a comparison: the candidate's share."),
    ("hold", 'Shortest time in each step: seconds, or such as "5m".'),
    ("min_requests", "Fewest requests of the candidate in each step."),
    ("max_bad_percent", "A step is passed below this share of bad requests."),
    ("alpha", "Probability, at most, of rolling back a candidate that is no worse."),
    ("require_approval", "Whether another token than yours has to approve."),
    ("deadline", 'When to hold without a conclusion: seconds, or such as "24h"; 0 for never.'),
    ("sticky_header", "Request header whose value chooses the arm."),
    ("fallback", "Whether stable answers what the candidate fails at."),
    ("watch", 'How long to watch it after promotion: seconds, or such as "24h"; 0 for not.'),
    ("holdback_percent", "Share of the version before while the candidate is watched."),
    ("slow_factor", "So many times stable's 99th percentile of the last minute is slow."),
    ("warm_up", "Time after its first request in a process in which it is never slow."),
    ("warm_up_requests", "First requests in each process at which it is never slow."),
    ("max_disagreement_percent", "Of a shadow: requests that may disagree."),
    *COMMAND,
)
_SUPPOSED: Final = (
    ("requests_per_second", "In the place of what stable serves now."),
    ("failed_percent", "The same for its failed requests."),
    ("slow_percent", "The same for its slow requests."),
)
_SUMMARIES: Final = {
    "pause": "Stop a rollout for now; shares stay",
    "resume": "Let a paused or held rollout go on",
    "promote": "Make its candidate stable now",
    "abort": "Take the candidate's share away, for good",
    "finish": "End a shadow or a comparison",
}
#: Alertmanager groups alerts into one message.
_MAX_WEBHOOK_BYTES: Final = 1 << 20


class RolloutApi:
    """Answers what is asked of rollouts.

    Args:
        operations: Carries out commands.
        controller: Knows how rollouts stand.
        coordinator: Has the state store, and so the audit log.
        vetoes: Alarms from outside.
        shadow: Gives the record of the shadow process of a rollout, by its id; blocking.
        traffic: Figures of the last minute.
    """

    def __init__(
        self,
        operations: RolloutOperations,
        controller: RolloutController,
        coordinator: Coordinator,
        vetoes: Vetoes,
        shadow: Callable[[str], Mapping[str, Any] | None],
        traffic: TrafficWindow,
    ) -> None:
        self._operations = operations
        self._controller = controller
        self._coordinator = coordinator
        self._vetoes = vetoes
        self._shadow = shadow
        self._traffic = traffic

    def handlers(self) -> dict[Endpoint, Handler]:
        """Who answers what."""
        answers: dict[Endpoint, Handler] = {
            Endpoint(
                "POST", _ROLLOUT, "rollout_start", "Start a rollout", OPERATE, (), _START, OUTCOME
            ): self._start,
            Endpoint(
                "POST",
                _ROLLOUT + "/plan",
                "rollout_plan",
                "What is to be expected of a canary; nothing is started",
                OBSERVE,
                (),
                (*_START[1:], *_SUPPOSED),
            ): self._plan,
            Endpoint("GET", _ROLLOUT, "rollout", "How its rollout stands", OBSERVE): self._get,
            Endpoint(
                "GET", _ROLLOUT + "/report", "rollout_report", "All of its rollout", OBSERVE
            ): self._report,
            Endpoint(
                "POST",
                _ROLLOUT + "/approve",
                "rollout_approve",
                "Approve its candidate, with another token than the requester's",
                APPROVE,
                (),
                (("digest", "Of the candidate, as you looked at it."), *COMMAND),
                OUTCOME,
            ): self._approve,
            Endpoint(
                "POST",
                "/admin/webhooks/alertmanager",
                "alertmanager",
                "Alarms that veto rollouts, as Alertmanager's webhook_config sends them",
                OPERATE,
            ): self._alertmanager,
        }
        for action in ACTIONS:
            path, name = f"{_ROLLOUT}/{action}", f"rollout_{action}"
            endpoint = command("POST", path, name, _SUMMARIES[action])
            answers[endpoint] = self._act(action)
        return answers

    async def _start(self, request: Request, token: str) -> Response:
        command, body = await wire.command_of("rollout.start", request, token, _START_KEYS)
        version = _candidate(body)
        try:
            kind = Kind(body.get("kind", Kind.CANARY))
        except ValueError:
            kinds = ", ".join(Kind)
            raise InvalidRequest(f"kind is {body['kind']!r}, expected one of {kinds}") from None
        asked = {key: body[key] for key in ASKED if key in body}
        return wire.told(await self._operations.start(command, token, kind, version, asked))

    async def _plan(self, request: Request, token: str) -> Response:
        known = (*_START_KEYS[1:], *SUPPOSED)
        command, body = await wire.command_of("rollout.plan", request, token, known)
        version = _candidate(body)
        asked, traffic = (
            {key: body[key] for key in keys if key in body} for keys in (ASKED, SUPPOSED)
        )
        found = await self._operations.plan(command, version, asked, traffic, self._traffic)
        return wire.answer(found)

    async def _get(self, request: Request, _: str) -> Response:
        return wire.answer(summary(self._progress(request)))

    async def _report(self, request: Request, _: str) -> Response:
        progress = self._progress(request)
        rollout = progress.rollout
        audit = self._coordinator.store.audit
        entries = await asyncio.to_thread(records.history, audit, rollout.model)
        shadow = None
        if rollout.kind is Kind.SHADOW:
            shadow = await asyncio.to_thread(self._shadow, rollout.id)
        return wire.answer(await asyncio.to_thread(report, progress, entries, shadow))

    def _act(self, action: str) -> Handler:
        async def act(request: Request, token: str) -> Response:
            command, _ = await wire.command_of(action, request, token, _COMMAND_KEYS)
            return wire.told(await self._operations.act(command))

        return act

    async def _approve(self, request: Request, token: str) -> Response:
        command, body = await wire.command_of("approve", request, token, ("digest", *_COMMAND_KEYS))
        digest = body.get("digest")
        if not isinstance(digest, str) or not digest:
            raise InvalidRequest("the body names no digest: that of the version you looked at")
        return wire.told(await self._operations.approve(command, token, digest))

    async def _alertmanager(self, request: Request, _: str) -> Response:
        payload = await wire.read_body(request, _MAX_WEBHOOK_BYTES)
        alarms = alarms_of(payload, self._controller.clock())
        if await asyncio.to_thread(self._vetoes.hear, alarms):
            self._controller.wake()
        firing = sum(one.firing for one in alarms)
        ignored = len(payload["alerts"]) - len(alarms)
        return wire.answer({"vetoes": firing, "lifted": len(alarms) - firing, "ignored": ignored})

    def _progress(self, request: Request) -> Progress:
        model = request.path_params["model"]
        progress = self._controller.progress(model)
        if progress is None:
            raise NotFound(f"model {model!r} has no rollout, and had none")
        return progress


def _candidate(body: Mapping[str, Any]) -> int:
    """The version that a body names.

    Raises:
        InvalidRequest: It names none.
    """
    if "version" not in body:
        raise InvalidRequest('the body names no version; expected {"version": 2}')
    return wire.version_of(body["version"])
