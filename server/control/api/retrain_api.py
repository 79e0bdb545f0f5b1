"""Retraining on the admin port: how it stands, a start by hand, and the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.server.auth.tokens import OBSERVE, OPERATE
from penstock.server.errors import InvalidRequest, NotFound

from . import wire
from .openapi import MODEL, Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.control.coordination.retrainer import Retrainer

    from .routes import Handler

_PERSON: Final = (
    ("reason", "Why; it is on record."),
    ("by", "Who uses the token; it is on record."),
)
_ALL: Final = Endpoint("GET", "/admin/retrain", "retrain_all", "Retraining of all models", OBSERVE)
_SHOW: Final = Endpoint(
    "GET", MODEL + "/retrain", "retrain", "Retraining of a model, and its last runs", OBSERVE
)
_START: Final = Endpoint(
    "POST", MODEL + "/retrain", "retrain_start", "Start a retraining; needs a reason", OPERATE, (),
    _PERSON,
)  # fmt: skip
_END: Final = Endpoint(
    "POST", MODEL + "/retrain/{run}/end", "retrain_end",
    "Report the end of a run, for targets that do not tell of it", OPERATE, (),
    (("succeeded", "true or false."), *_PERSON),
)  # fmt: skip


class RetrainApi:
    """Its endpoints and who answers them.

    Args:
        retrainers: By model.
    """

    def __init__(self, retrainers: Mapping[str, Retrainer]) -> None:
        self._retrainers = retrainers

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {_ALL: self._all, _SHOW: self._show, _START: self._start, _END: self._end}

    async def _all(self, _: Request, __: str) -> Response:
        return wire.answer({"models": [told(one) for one in self._retrainers.values()]})

    async def _show(self, request: Request, _: str) -> Response:
        one = self._of(request)
        runs = [run.to_json() for run in reversed(one.runs.known.runs)]
        return wire.answer({**told(one), "runs": runs})

    async def _start(self, request: Request, token: str) -> Response:
        one, body = self._of(request), await wire.read_body(request)
        wire.check_keys(body, ("reason", "by"))
        reason = wire.needed_reason_of(body)
        run = await one.start(wire.actor_of(token, body), reason)
        return wire.answer({"run": run.to_json()}, 202)

    async def _end(self, request: Request, token: str) -> Response:
        one, body = self._of(request), await wire.read_body(request)
        wire.check_keys(body, ("succeeded", "reason", "by"))
        if "succeeded" not in body:
            raise InvalidRequest('the body does not say how it ended: {"succeeded": true}')
        run = await one.report_end(
            request.path_params["run"],
            wire.actor_of(token, body),
            wire.reason_of(body),
            succeeded=wire.flag_of(body, "succeeded"),
        )
        return wire.answer({"run": run.to_json()})

    def _of(self, request: Request) -> Retrainer:
        model = request.path_params["model"]
        if model not in self._retrainers:
            raise NotFound(
                f"model {model[: wire.MAX_SHOWN]!r} has no [[retrain]] in penstock.toml; "
                f"these have one: {', '.join(self._retrainers) or 'none'}"
            )
        return self._retrainers[model]


def told(one: Retrainer) -> dict[str, Any]:
    """How the retraining of a model stands."""
    known, decision = one.runs.known, one.decision
    return {
        "model": one.options.model,
        "on": list(one.options.triggers),
        "target": one.options.place,
        "last": None if known.last is None else known.last.to_json(),
        "waits": decision.reason,
        "next_at": None if decision.at == float("inf") else decision.at,
        "counts": known.counts,
    }
