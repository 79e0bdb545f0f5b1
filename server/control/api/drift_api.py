"""Drift on the admin port: what the windows say, as figures and as a page."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Final

from starlette.responses import HTMLResponse

from penstock.monitoring.drift.baseline_files import BASELINES, BaselineFiles
from penstock.monitoring.drift.reading import drift_of, windows_of, worst
from penstock.monitoring.probability import is_available, what_to_install
from penstock.server.auth.tokens import OBSERVE
from penstock.server.drift.references import References
from penstock.server.drift.report import RECENT_WINDOWS, report
from penstock.server.drift.versions import WINDOWS
from penstock.server.errors import Unavailable

from . import wire
from .openapi import Endpoint
from .registry_names import check_version, named_model

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.control.coordination.coordinator import Coordinator
    from penstock.server.page.page import Page

    from .routes import Handler

_MODEL: Final = "/admin/models/{model}"
_ONE: Final = (("version", "Only this one."),)

_SHOW: Final = Endpoint(
    "GET", _MODEL + "/drift", "drift", "How far inputs and outputs are from the baseline",
    OBSERVE, _ONE,
)  # fmt: skip
_REPORT: Final = Endpoint(
    "GET", _MODEL + "/drift/report", "drift_report", "The same as a page with plots", OBSERVE, _ONE,
    answer="text/html",
)  # fmt: skip


class DriftApi:
    """Its endpoints and who answers them.

    Args:
        coordinator: Knows the models.
        state: ``state_dir/monitor``.
    """

    def __init__(self, coordinator: Coordinator, state: Path) -> None:
        self._coordinator = coordinator
        self._windows = state / WINDOWS
        self._files = BaselineFiles(state / BASELINES)

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {_SHOW: self._show, _REPORT: self._report}

    async def page(self, model: str, version: str | None = None) -> Page:
        """The page of a model that the registry has.

        Raises:
            Unavailable: The windows cannot be read.
        """
        plan = self._coordinator.planner.target.models.get(model)
        references = References(self._files, {} if plan is None else plan.versions)

        def make() -> Page:
            entries = drift_of(self._windows, model, version)
            windows = windows_of(self._windows, model, version, RECENT_WINDOWS)
            return report(model, entries, windows, references, _problem())

        try:
            return await asyncio.to_thread(make)
        except sqlite3.Error as error:
            raise Unavailable(f"the windows cannot be read: {error}") from error

    async def _show(self, request: Request, _: str) -> Response:
        model, version = self._asked(request)
        try:
            entries = await asyncio.to_thread(drift_of, self._windows, model, version)
        except sqlite3.Error as error:
            raise Unavailable(f"the windows cannot be read: {error}") from error
        if version is not None and not entries:  # of those that are gone windows are kept
            check_version(self._coordinator, model, int(version))
        answer = {"model": model, "state": worst(entries), "problem": _problem()}
        return wire.answer({**answer, "versions": entries})

    async def _report(self, request: Request, _: str) -> Response:
        page = await self.page(*self._asked(request))
        return HTMLResponse(await asyncio.to_thread(page.render))

    def _asked(self, request: Request) -> tuple[str, str | None]:
        model = named_model(self._coordinator, request)
        version = request.query_params.get("version")
        return model, None if version is None else str(wire.version_of(version))


def _problem() -> str:
    """Why this server watches no drift; empty if it does."""
    return "" if is_available() else f"drift is not watched: {what_to_install()}"
