"""The console as an ASGI app: its pages, its log-in, and the actions of its forms.

A page asks the endpoints of the admin port as a program would, with the token of the visitor's
session. So a page shows no more, and a form does no more, than the token covers; and every action
is on the audit log under the name of the token. A form carries a secret of its session (OWASP,
synchronizer token pattern), and the cookie is ``HttpOnly`` and ``SameSite=Strict``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from penstock.server.errors import ApiError, Forbidden
from penstock.server.page.page import Page

from . import actions
from .admin_api import Refused
from .alerts_page import alerts_page
from .audit_page import audit_page
from .entrance import CSRF, PATH, form_fields
from .model_page import model_page
from .overview import overview
from .performance_page import performance_page
from .rollout_actions import add_actions
from .rollout_page import no_rollout, page_of
from .rollout_words import plan_words
from .routes import Routes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from .entrance import Entrance
    from .live import Live
    from .routes import Show
    from .visit import Visit

_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
_ALERTS: Final = "200"


class Console:
    """The console.

    Args:
        entrance: Log-in of visitors.
        live: Tells open pages when to show themselves anew.
        parts: Further pages.
    """

    def __init__(self, entrance: Entrance, live: Live, parts: Sequence[Routes] = ()) -> None:
        self._entrance = entrance
        self._live = live
        pages: dict[str, Show] = {
            "": self._overview,
            "/models/{model}": self._model,
            "/models/{model}/rollout": self._rollout,
            "/models/{model}/performance": self._performance,
            "/alerts": self._alerts,
            "/audit": self._audit,
            "/live": self._follow,
        }
        forms: dict[str, Show] = {
            "/logout": entrance.logout,
            "/alerts/test": self._test_sink,
            "/models/{model}/{action}": self._act,
        }
        every = [*parts, Routes(pages, forms)]
        self._app = Starlette(
            routes=[
                Route(f"{PATH}/login", entrance.login, methods=["GET", "POST"]),
                Route(f"{PATH}/enter", entrance.enter),
                *(route for part in every for route in self._routes(part)),
            ],
            exception_handlers={ApiError: self._problem, HTTPException: self._problem},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        await self._app(scope, receive, send)

    def _routes(self, part: Routes) -> Iterator[Route]:
        for path, page in part.pages.items():
            yield Route(PATH + path, self._shown(page))
        for path, call in part.calls.items():
            yield Route(PATH + path, self._called(call), methods=["POST"])
        for path, form in part.forms.items():
            yield Route(PATH + path, self._carried_out(form), methods=["POST"])

    def _shown(self, page: Show) -> Callable[[Request], Awaitable[Response]]:
        """A page; who may not look is asked to log in."""

        async def show(request: Request) -> Response:
            visit = self._entrance.visit(request)
            try:
                return await page(request, visit)
            except Refused as refusal:
                if refusal.status == _UNAUTHORIZED:
                    return RedirectResponse(visit.at("login"), 303)
                return _told(visit, refusal.status, refusal.message)

        return show

    def _carried_out(self, form: Show) -> Callable[[Request], Awaitable[Response]]:
        """A form; its outcome is told on the page that follows."""

        async def carry_out(request: Request) -> Response:
            visit = self._entrance.visit(request)
            session = visit.session
            if session is None:
                return RedirectResponse(visit.at("login"), 303)
            fields = await form_fields(request)
            if not session.sent(fields.pop("csrf", "")):
                raise Forbidden("the form is not of this session; load its page again")
            request.state.fields = fields
            try:
                return await form(request, visit)
            except (Refused, ApiError) as refusal:
                session.notice, session.tone = f"Nothing was done: {refusal.message}", "bad"
            return RedirectResponse(_after(request, visit, done=False), 303)

        return carry_out

    def _called(self, call: Show) -> Callable[[Request], Awaitable[Response]]:
        """What the script of a page asks for; errors are JSON, as of an endpoint."""

        async def answer(request: Request) -> Response:
            visit = self._entrance.visit(request)
            session = visit.session
            try:
                if session is None or not session.sent(request.headers.get(CSRF, "")):
                    raise Forbidden("the request is not of this session; load the page again")
                return await call(request, visit)
            except ApiError as error:
                return JSONResponse({"error": error.message}, error.status)
            except Refused as refusal:
                return JSONResponse({"error": refusal.message}, refusal.status)

        return answer

    # -- pages -----------------------------------------------------------------------------------

    async def _overview(self, _: Request, visit: Visit) -> Response:
        status = await visit.api.get("admin", "status")
        alerts = await visit.api.get("admin", "alerts", open="true", limit=_ALERTS)
        hour = await visit.api.get("admin", "traffic")
        page = overview(status, alerts["alerts"], hour["requests_per_second"], visit.at)
        return visit.answer(page, "Overview", live=True)

    async def _model(self, request: Request, visit: Visit) -> Response:
        name = request.path_params["model"]
        records = await visit.api.get("admin", "models", name, "history")
        status = await visit.api.get("admin", "status")
        alerts = await visit.api.get("admin", "alerts", open="true", model=name, limit=_ALERTS)
        model = next((one for one in status["models"] if one["name"] == name), None)
        if model is None:
            raise Refused(404, f"model {name!r} is gone from the registry")
        lineage = await visit.api.get("admin", "models", name, "lineage")
        changes = None
        asked = request.query_params
        if "from" in asked and "to" in asked:
            query = {"from": asked["from"], "to": asked["to"]}
            changes = await visit.api.get("admin", "models", name, "diff", **query)
        told = alerts["alerts"], records["records"], changes, lineage["versions"]
        return visit.answer(model_page(model, *told, visit), live=True, model=name)

    async def _rollout(self, request: Request, visit: Visit) -> Response:
        name = request.path_params["model"]
        try:
            found = await visit.api.get("admin", "models", name, "rollout", "report")
        except Refused as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            await visit.api.get("admin", "models", name, "history")  # refuses an unknown model
            return visit.answer(no_rollout(name, visit), live=True, model=name)
        page = page_of(found)
        if not found["final"] and visit.session is not None:
            add_actions(page.section("Actions"), found, visit)
        return visit.answer(page, live=True, model=name)

    async def _performance(self, request: Request, visit: Visit) -> Response:
        name = request.path_params["model"]
        by = request.query_params.get("by", "")
        found = await visit.api.get("admin", "models", name, "performance", by=by)
        return visit.answer(performance_page(found, visit, by), model=name)

    async def _alerts(self, _: Request, visit: Visit) -> Response:
        found = await visit.api.get("admin", "alerts", limit=_ALERTS)
        mutes = (await visit.api.get("admin", "mutes"))["mutes"]
        return visit.answer(alerts_page(found, mutes, visit), "Alerts", live=True)

    async def _audit(self, request: Request, visit: Visit) -> Response:
        verify = {"verify": "true"} if request.query_params.get("verify") == "true" else {}
        found = await visit.api.get("admin", "audit", **verify)
        return visit.answer(audit_page(found, visit), "Audit")

    async def _follow(self, _: Request, visit: Visit) -> Response:
        await visit.api.get("admin", "traffic")  # who may not look is not told either
        return self._live.stream()

    # -- actions ---------------------------------------------------------------------------------

    async def _act(self, request: Request, visit: Visit) -> Response:
        places = request.path_params
        asked = actions.asked(places["model"], places["action"], request.state.fields)
        outcome = await visit.api.ask(asked.method, asked.path, asked.body)
        assert visit.session is not None
        visit.session.notice, visit.session.tone = _outcome(places["action"], outcome)
        return RedirectResponse(_after(request, visit, done=True), 303)

    async def _test_sink(self, request: Request, visit: Visit) -> Response:
        sink = request.state.fields.get("sink", "")
        await visit.api.ask("POST", ("admin", "alerts", "test", sink), {})
        return visit.done(f"The sink {sink} is told of a test.", "alerts")

    async def _problem(self, request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            return _told(self._entrance.visit(request), error.status_code, error.detail)
        assert isinstance(error, ApiError)
        return _told(self._entrance.visit(request), error.status, error.message)


def _told(visit: Visit, status: int, why: str) -> HTMLResponse:
    """A page that says what is wrong."""
    page = Page("This cannot be shown")
    page.section(f"Status {status}").callout(why, "bad")
    return visit.answer(page, status=status)


def _after(request: Request, visit: Visit, *, done: bool) -> str:
    """The page that follows a form: that of the rollout it started, else the form's own page."""
    places = request.path_params
    following = getattr(request.state, "after", None)
    if following is not None:
        return visit.at(*following)
    if "model" not in places:
        return visit.at("alerts")
    action = places["action"]
    of_rollout = (
        action == "approve" or action.startswith("rollout-") or (action == "start" and done)
    )
    return visit.at("models", places["model"], *(("rollout",) if of_rollout else ()))


def _outcome(action: str, outcome: dict[str, Any]) -> tuple[str, str]:
    """What is told of an action that was carried out, and the tone of it."""
    if action == "plan":
        return plan_words(outcome), ""
    words = f"Done: {action.replace('-', ' ')}."
    if outcome.get("converged", True):
        return words, "good"
    waiting = ", ".join(map(str, outcome.get("waiting", ())))
    return f"{words} In force; not all workers have followed yet: {waiting}", "warning"
