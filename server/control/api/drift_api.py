"""Drift on the admin port: what the windows say, and replacing a baseline."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import HTMLResponse

from penstock.monitoring.drift.baseline import MAX_BYTES, Baseline, decode
from penstock.monitoring.drift.baseline_files import (
    BASELINE_FILE,
    BASELINES,
    BaselineFiles,
    read_baseline,
    write_baseline,
)
from penstock.monitoring.drift.reading import drift_of, windows_of, worst
from penstock.monitoring.probability import is_available, what_to_install
from penstock.server.auth.tokens import OBSERVE, OPERATE
from penstock.server.codecs.json_values import check_values
from penstock.server.config.model_config import ModelConfig
from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.drift.acceptance import Unfit, accept
from penstock.server.drift.report import RECENT_WINDOWS, report
from penstock.server.drift.versions import WINDOWS
from penstock.server.errors import InvalidRequest, NotFound, Unavailable
from penstock.server.ports.bodies import read_body
from penstock.server.ports.media_types import JSON, check_media_type

from . import wire
from .openapi import Endpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.control.coordination.coordinator import Coordinator

    Handler = Callable[[Request, str], Awaitable[Response]]

_MODEL: Final = "/admin/models/{model}"
_BASELINE: Final = _MODEL + "/versions/{version}/baseline"
_ONE: Final = (("version", "Only this one."),)
#: In a baseline; decoded, they take about a hundred bytes each.
_MAX_VALUES: Final = 1 << 18

_SHOW: Final = Endpoint(
    "GET", _MODEL + "/drift", "drift", "How far inputs and outputs are from the baseline",
    OBSERVE, _ONE,
)  # fmt: skip
_REPORT: Final = Endpoint(
    "GET", _MODEL + "/drift/report", "drift_report", "The same as a page with plots", OBSERVE, _ONE
)
_REPLACE: Final = Endpoint(
    "PUT", _BASELINE, "replace_baseline", "Compare with this from now on", OPERATE,
    (("reason", "Why; it is on record."), ("by", "Who uses the token; it is on record.")),
    (("format", "What `penstock baseline build` makes."),),
)  # fmt: skip
_FORGET: Final = Endpoint(
    "DELETE", _BASELINE, "forget_baseline", "Learn anew from the next rows", OPERATE, (),
    (("reason", "Why; it is on record."), ("by", "Who uses the token; it is on record.")),
)  # fmt: skip


class DriftApi:
    """Its endpoints and who answers them.

    Args:
        coordinator: Knows the models, and keeps the audit log.
        state: ``state_dir/monitor``.
    """

    def __init__(self, coordinator: Coordinator, state: Path) -> None:
        self._coordinator = coordinator
        self._windows = state / WINDOWS
        self._files = BaselineFiles(state / BASELINES)

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {
            _SHOW: self._show,
            _REPORT: self._report,
            _REPLACE: self._replace,
            _FORGET: self._forget,
        }

    async def _show(self, request: Request, _: str) -> Response:
        model, version = self._asked(request)
        try:
            entries = await asyncio.to_thread(drift_of, self._windows, model, version)
        except sqlite3.Error as error:
            raise Unavailable(f"the windows cannot be read: {error}") from error
        if version is not None and not entries:  # of those that are gone windows are kept
            self._version(model, int(version))
        answer = {"model": model, "state": worst(entries), "problem": _problem()}
        return wire.answer({**answer, "versions": entries})

    async def _report(self, request: Request, _: str) -> Response:
        model, version = self._asked(request)
        plan = self._coordinator.planner.target.models.get(model)
        directories = {} if plan is None else plan.versions
        published = {str(one): path / BASELINE_FILE for one, path in directories.items()}

        def make() -> str:
            entries = drift_of(self._windows, model, version)
            windows = windows_of(self._windows, model, version, RECENT_WINDOWS)
            return report(model, entries, windows, self._files, published, _problem())

        try:
            return HTMLResponse(await asyncio.to_thread(make))
        except sqlite3.Error as error:
            raise Unavailable(f"the windows cannot be read: {error}") from error

    async def _replace(self, request: Request, actor: str) -> Response:
        model, version = self._named(request)
        query = dict(request.query_params)
        try:
            baseline = decode(await _baseline(request))
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        plan = self._coordinator.planner.target.models.get(model)
        config = ModelConfig() if plan is None else plan.config
        signature = None if plan is None else plan.declared.get(version)
        digest = self._digest(model, version)
        try:
            bound, left_out = accept(baseline, digest, signature, config.monitoring, config.log)
        except Unfit as error:
            raise InvalidRequest(str(error)) from None

        def write() -> str:
            self._note("baseline", model, version, actor, query, bound)
            write_baseline(self._files.built(model, str(version)), bound)
            return bound.id

        found = await asyncio.to_thread(write)
        answer = {"model": model, "version": version, "baseline": found, "left_out": left_out}
        return wire.answer(answer)

    async def _forget(self, request: Request, actor: str) -> Response:
        model, version = self._named(request)
        body = await wire.read_body(request)
        wire.check_keys(body, ("reason", "by"))

        def remove() -> None:
            self._note("baseline.forget", model, version, actor, body, None)
            self._files.forget(model, str(version))

        await asyncio.to_thread(remove)
        return wire.answer({"model": model, "version": version, "baseline": ""})

    def _note(
        self,
        action: str,
        model: str,
        version: int,
        actor: str,
        said: dict[str, Any],
        after: Baseline | None,
    ) -> None:
        """Put it on record before it happens."""
        try:
            before = read_baseline(self._files.built(model, str(version)))
        except (OSError, ValueError):
            before = None
        evidence: dict[str, Any] = {"version": version, "digest": self._digest(model, version)}
        if after is not None:
            evidence |= {"data": after.data, "rows": after.rows}
        self._coordinator.store.note(
            AuditEvent(
                action,
                wire.actor_of(actor, said),
                model,
                before={"baseline": None if before is None else before.id},
                after={"baseline": None if after is None else after.id},
                reason=wire.reason_of(said),
                evidence=evidence,
                generation=self._coordinator.store.state.generation,
            )
        )

    def _digest(self, model: str, version: int) -> str:
        result = self._coordinator.planner.findings.results.get((model, version))
        return "" if result is None else result.digest

    def _asked(self, request: Request) -> tuple[str, str | None]:
        model = request.path_params["model"]
        models = self._coordinator.planner.findings.snapshot.models
        if model not in models:
            raise NotFound(f"there is no model {model!r}; there are {', '.join(models) or 'none'}")
        version = request.query_params.get("version")
        return model, None if version is None else str(wire.version_of(version))

    def _named(self, request: Request) -> tuple[str, int]:
        model, _ = self._asked(request)
        return model, self._version(model, wire.version_of(request.path_params["version"]))

    def _version(self, model: str, version: int) -> int:
        """It, if it is in the registry."""
        versions = self._coordinator.planner.findings.snapshot.models[model].versions
        if version not in versions:
            raise NotFound(f"version {version} of model {model!r} is not in the registry")
        return version


def _problem() -> str:
    """Why this server watches no drift; empty if it does."""
    return "" if is_available() else f"drift is not watched: {what_to_install()}"


async def _baseline(request: Request) -> bytes:
    body = await read_body(request, MAX_BYTES)
    check_media_type(request.headers.get("content-type"), (JSON,))
    check_values(body, _MAX_VALUES)
    return body
