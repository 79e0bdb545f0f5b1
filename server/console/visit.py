"""One visit to a page: the visitor, the place of the console, and the making of the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import HTMLResponse, RedirectResponse

from penstock.server.page.form import Field, Form
from penstock.server.page.renderer import render
from penstock.server.page.scripted import page_headers

if TYPE_CHECKING:
    from starlette.responses import Response

    from penstock.server.auth.sessions import Session
    from penstock.server.page.page import Page

    from .admin_api import AdminApi

#: Pages that are reached from everywhere, and their paths.
PLACES: Final = (
    ("Overview", ""),
    ("Predictions", "predictions"),
    ("Alerts", "alerts"),
    ("Audit", "audit"),
)
#: Pages of a model, and what follows its path.
OF_MODEL: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Model", ()),
    ("Try it", ("try",)),
    ("Gates", ("gates",)),
    ("Rollout", ("rollout",)),
    ("Drift and quality", ("drift",)),
    ("Performance", ("performance",)),
)


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit.

    Attributes:
        root: Path of the console as the browser sees it, without a slash at its end.
        api: Endpoints that the visitor may ask.
        session: Session of the visitor; ``None`` without a log-in.
        renewed: Whether an open page asks for itself anew; its visitor sees no notice of it.
    """

    root: str
    api: AdminApi
    session: Session | None
    renewed: bool = False

    @property
    def name(self) -> str:
        """Name of the visitor's token; empty without a log-in."""
        return "" if self.api.holder is None else self.api.holder.name

    def may(self, scope: str) -> bool:
        """True if the visitor's token covers a scope."""
        return self.api.holder is not None and scope in self.api.holder.scopes

    def at(self, *path: str) -> str:
        """Path of a page; the segments are given unquoted."""
        return "/".join((self.root, *(quote(one, safe="") for one in path)))

    def form(
        self,
        path: tuple[str, ...],
        button: str,
        effect: str,
        *fields: Field,
        tone: str = "",
        reason_needed: bool = False,
    ) -> Form:
        """A form for an action, with a reason, that only this visitor's browser can send."""
        assert self.session is not None
        reason = Field("reason", "Reason, for the record", required=reason_needed)
        csrf = Field("csrf", value=self.session.csrf)
        return Form(self.at(*path), button, effect, (*fields, reason, csrf), tone)

    def done(self, words: str, *path: str) -> Response:
        """The page that follows an action, with what was done.

        Args:
            words: Description of the action that was carried out.
            path: Of the page, as for `at`.
        """
        assert self.session is not None
        self.session.notice, self.session.tone = words, "good"
        return RedirectResponse(self.at(*path), 303)

    def answer(
        self,
        page: Page,
        here: str = "",
        status: int = 200,
        *,
        live: bool = False,
        model: str = "",
        template: str = "console.html",
    ) -> HTMLResponse:
        """A page of the console, with the notice of the last action.

        Args:
            page: The page.
            here: Name of the place of `PLACES` that it is, if it is one.
            status: HTTP status.
            live: Whether an open page shows what changes.
            model: Name of the model that it is of; its other pages are one step away.
            template: Name of its file; one with scripts of its own extends ``console.html``.
        """
        notice = tone = ""
        if self.session is not None and not self.renewed:
            notice, self.session.notice, tone = self.session.notice, "", self.session.tone
        html = str(
            render(
                template,
                **page.content(),
                root=self.root,
                places=[(name, self.at(path)) for name, path in PLACES],
                here=here,
                who=self.name or "looking only",
                csrf="" if self.session is None else self.session.csrf,
                login=self.session is None,
                notice=notice,
                tone=tone,
                live=live,
                model=model,
                model_places=[(name, self.at("models", model, *path)) for name, path in OF_MODEL],
            )
        )
        headers = {**page_headers(html, forms=True), "cache-control": "no-store"}
        return HTMLResponse(html, status, headers)
