"""The admin port: merged metrics, health, and what runs where."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

    from penstock.server.config import ServerConfig

    from .exposition import Exposition
    from .fleet import Fleet
    from .planner import Planner


class AdminApp:
    """Routes of the admin port; `app` is the ASGI app."""

    def __init__(
        self, config: ServerConfig, planner: Planner, fleet: Fleet, exposition: Exposition
    ) -> None:
        self._config = config
        self._planner = planner
        self._fleet = fleet
        self._exposition = exposition
        self.app = Starlette(
            routes=[
                Route("/metrics", self._metrics),
                Route("/v2/health/live", self._live),
                Route("/v2/health/ready", self._ready),
                Route("/admin/status", self._status),
            ]
        )

    async def _metrics(self, request: Request) -> Response:
        content_type, body = await self._exposition.render(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type.decode()})

    async def _live(self, _: Request) -> Response:
        return _json({"live": True})

    async def _ready(self, _: Request) -> Response:
        """Ready while any worker serves: one that restarts takes no request from the others."""
        ready = any(worker.ready for worker in self._fleet.workers.values())
        return _json({"ready": ready}, 200 if ready else 503)

    async def _status(self, _: Request) -> Response:
        target = self._planner.target
        workers = sorted(self._fleet.workers.values(), key=lambda worker: worker.process)
        models = {
            name: {
                "versions": list(plan.versions),
                "default": plan.default,
                "aliases": dict(plan.aliases),
            }
            for name, plan in target.models.items()
        }
        content = {
            "registry": str(self._config.registry),
            "converged": self._fleet.converged(),
            "target": {"number": target.number, "models": models},
            "problems": [
                {"path": str(problem.path), "reason": problem.reason}
                for problem in self._planner.problems
            ],
            "workers": [
                {
                    "process": worker.process,
                    "pid": worker.pid,
                    "target": worker.target,
                    "steered": worker.steered,
                    "ready": worker.ready,
                    "models": worker.models,
                }
                for worker in workers
            ],
        }
        return _json(content)


def _json(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")
