"""The admin port as an ASGI app: its routes, one line each, and what each calls."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from penstock.server.console.entrance import PATH
from penstock.server.control.coordination.convergence import why_not_ready
from penstock.server.errors import ApiError, InvalidRequest
from penstock.server.page.scripted import scripted_page
from penstock.server.ports.border import BY_PREFIX, DOCS, Border
from penstock.server.ports.media_types import JSON
from penstock.server.ports.paths import routed_at

from . import records, repository_api, wire
from .openapi import ENDPOINTS, openapi
from .registry_names import check_model, named_model
from .routes import routes_of
from .status_answer import StatusAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from penstock.server.control.coordination.coordinator import Coordinator
    from penstock.server.control.coordination.exposition import Exposition

    from .access import Access
    from .audit_history import AuditHistory
    from .command import Command
    from .openapi import Endpoint
    from .operations import Operations
    from .routes import Handler
    from .traffic import TrafficWindow

_COMMAND_KEYS = ("reason", "generation", "by", "version")
_FLAGS = {"load": ("accept",), "rollback": ("force", "dry_run")}


class AdminApp:
    """Routes of the admin port.

    Args:
        coordinator: Target, desired state and workers.
        operations: Carries out commands.
        audit_history: Latest records of the audit log.
        traffic: Figures of the last minute.
        exposition: Merged metrics.
        access: Check of the tokens.
        about: Of the server, for the status.
        more: Endpoints of other parts, and who answers them.
        clock: Unix seconds.

    An ASGI app.

    Attributes:
        border: Checks of each request before it is routed.
        status: Makes the answer of the status.
        access: Check of the tokens.
        repository: Loads and unloads as clients of Triton do.
        console: The pages for people; ``None`` where there are none.
        works: Tasks beside the requests, by what they do.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        operations: Operations,
        audit_history: AuditHistory,
        traffic: TrafficWindow,
        exposition: Exposition,
        access: Access,
        about: dict[str, Any],
        more: Mapping[Endpoint, Handler] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._coordinator = coordinator
        self._operations = operations
        self.repository = repository_api.Repository(coordinator, operations)
        self.status = StatusAnswer(coordinator, audit_history, traffic, exposition, about, clock)
        self._exposition = exposition
        self.access = access
        self._about = about
        self._clock = clock
        self.border = Border()
        self.console: ASGIApp | None = None
        self.works: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        self._described: tuple[bytes, bytes] | None = None
        handlers: dict[Endpoint, Handler] = {
            one: getattr(self, f"_{one.name}") for one in ENDPOINTS
        }
        handlers.update(more or {})
        self._endpoints = tuple(handlers)
        self._routed = Starlette(
            routes=[
                Route("/", self._home),
                *routes_of(handlers, access),
            ],
            exception_handlers={
                ApiError: wire.api_error,
                HTTPException: wire.http_error,
                Exception: wire.bug,
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._routed(scope, receive, send)
            return
        try:
            refusal = self.border.refusal(scope)
            if refusal is not None:
                raise refusal
            path = self.border.path(scope)
            app: ASGIApp = self.border.without_slash(scope, path) or self._routed
            scope = routed_at(scope, path)
            if self.console is not None and (path == PATH or path.startswith(f"{PATH}/")):
                app = self.console
        except ApiError as error:
            app = await wire.api_error(Request(scope), error)
        await app(scope, receive, send)

    @property
    def endpoints(self) -> ASGIApp:
        """The endpoints behind the border, for an app of this process."""
        return self._routed

    async def _home(self, request: Request) -> Response:
        return self.border.home(request.scope, DOCS if self.console is None else PATH)

    # -- looking ---------------------------------------------------------------------------------

    async def _docs(self, _: Request, __: str) -> Response:
        page = await asyncio.to_thread(scripted_page, "admin_docs.html")
        return HTMLResponse(page.html, headers=page.headers)

    async def _openapi(self, request: Request, _: str) -> Response:
        if self._described is None:  # the endpoints are the same for good
            mark = "penstock-place-of-the-url"
            before, _, after = json.dumps(
                openapi(mark, self._endpoints, open_reads=self.access.open_reads)
            ).partition(f'"{mark}"')
            self._described = before.encode(), after.encode()
        before_url, after_url = self._described
        url = json.dumps(self.border.prefix(request.scope) or "/").encode()
        return Response(before_url + url + after_url, headers=BY_PREFIX, media_type=JSON)

    async def _metrics(self, request: Request, _: str) -> Response:
        content_type, body = await self._exposition.render(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type.decode()})

    async def _server(self, _: Request, __: str) -> Response:
        return wire.answer({**self._about["server"], "extensions": ["model_repository"]})

    async def _live(self, _: Request, __: str) -> Response:
        return wire.answer({"live": True})

    async def _ready(self, _: Request, __: str) -> Response:
        reason = self.why_not_ready()
        told = {"reason": reason} if reason else {}
        return wire.answer({"ready": not reason, **told}, 503 if reason else 200)

    def why_not_ready(self) -> str:
        """The reason why no worker serves yet; empty if one does."""
        return why_not_ready(self._coordinator.fleet, self._clock())

    async def _status(self, _: Request, __: str) -> Response:
        return wire.answer(await self.status.answer())

    async def _history(self, request: Request, _: str) -> Response:
        model, audit = request.path_params["model"], self._coordinator.store.audit
        at = request.query_params.get("at")
        if at is not None:
            found = await asyncio.to_thread(records.production, audit, model, at)
            return wire.answer(found)
        entries = await asyncio.to_thread(records.history, audit, model)
        if not entries:
            check_model(self._coordinator, model)
        return wire.answer({"model": model, "records": entries})

    async def _diff(self, request: Request, _: str) -> Response:
        model = named_model(self._coordinator, request)
        entry = self._coordinator.planner.findings.snapshot.models[model]
        query = request.query_params
        if "from" not in query or "to" not in query:
            raise InvalidRequest("name two versions: ?from=1&to=2")
        before, after = wire.version_of(query["from"]), wire.version_of(query["to"])
        changes = await asyncio.to_thread(records.difference, entry, before, after)
        return wire.answer({"model": model, "from": before, "to": after, "changes": changes})

    async def _index(self, request: Request, _: str) -> Response:
        body = await wire.read_body(request, untyped=True)
        return wire.answer(self.index(ready=wire.flag_of(body, "ready")))

    def index(self, *, ready: bool) -> list[dict[str, Any]]:
        """The versions of the registry and their states, see `repository_api.index`."""
        return repository_api.index(self.status.index(), ready=ready)

    # -- commands --------------------------------------------------------------------------------

    async def _load(self, request: Request, actor: str) -> Response:
        command, body = await self._command("load", request, actor)
        accept = wire.flag_of(body, "accept")
        if accept and not command.reason:
            raise InvalidRequest("who accepts a version in spite of what it is gives a reason")
        version = self._version(request)
        return wire.told(await self._operations.load(command, version, accept=accept))

    async def _unload(self, request: Request, actor: str) -> Response:
        command, _ = await self._command("unload", request, actor)
        return wire.told(await self._operations.unload(command, self._version(request)))

    async def _promote(self, request: Request, actor: str) -> Response:
        command, _ = await self._command("promote", request, actor)
        return wire.told(await self._operations.promote(command, self._version(request)))

    async def _rollback(self, request: Request, actor: str) -> Response:
        command, body = await self._command("rollback", request, actor)
        force, dry_run = wire.flag_of(body, "force"), wire.flag_of(body, "dry_run")
        outcome = await self._operations.rollback(command, force=force, dry_run=dry_run)
        return wire.answer(outcome) if dry_run else wire.told(outcome)

    async def _set_alias(self, request: Request, actor: str) -> Response:
        command, body = await self._command("alias", request, actor)
        if "version" not in body:
            raise InvalidRequest('the body names no version; expected {"version": 2}')
        version = wire.version_of(body["version"])
        alias = request.path_params["alias"]
        return wire.told(await self._operations.set_alias(command, alias, version))

    async def _remove_alias(self, request: Request, actor: str) -> Response:
        command, _ = await self._command("unalias", request, actor)
        return wire.told(await self._operations.remove_alias(command, request.path_params["alias"]))

    async def _repository_load(self, request: Request, actor: str) -> Response:
        body = await wire.read_body(request, untyped=True)
        model = request.path_params["model"]
        version = repository_api.asked_version(body, request.query_params)
        await self.repository.load(model, version, actor)
        return Response(status_code=200)

    async def _repository_unload(self, request: Request, actor: str) -> Response:
        body = await wire.read_body(request, untyped=True)
        model = request.path_params["model"]
        version = repository_api.asked_version(body, request.query_params)
        await self.repository.unload(model, version, actor)
        return Response(status_code=200)

    @staticmethod
    async def _command(action: str, request: Request, token: str) -> tuple[Command, dict[str, Any]]:
        known = (*_COMMAND_KEYS, *_FLAGS.get(action, ()))
        return await wire.command_of(action, request, token, known)

    @staticmethod
    def _version(request: Request) -> int:
        return wire.version_of(request.path_params["version"])
