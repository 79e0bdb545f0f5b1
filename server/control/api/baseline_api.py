"""Baselines on the admin port: replaced by a file, made of accepted windows, or forgotten."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.drift.accepting import accepted_references, calibrating_until
from penstock.monitoring.drift.baseline import FROM_ACCEPTED, MAX_BYTES, Baseline, decode
from penstock.monitoring.drift.baseline_files import BASELINES, BaselineFiles, read_baseline
from penstock.monitoring.drift.reading import judged_windows
from penstock.server.auth.tokens import OPERATE
from penstock.server.codecs.json_values import check_values
from penstock.server.config.model_config import ModelConfig
from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.drift.acceptance import Unfit, accept
from penstock.server.drift.references import References
from penstock.server.drift.versions import WINDOWS
from penstock.server.errors import Conflict, InvalidRequest, Unavailable
from penstock.server.ports.bodies import read_body
from penstock.server.ports.media_types import JSON, check_media_type

from . import wire
from .openapi import Endpoint
from .registry_names import named_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.monitoring.drift.options import DriftOptions
    from penstock.server.control.coordination.coordinator import Coordinator

    from .routes import Handler

_BASELINE: Final = "/admin/models/{model}/versions/{version}/baseline"
_WHO: Final = (
    ("reason", "Why; it is on record."),
    ("by", "Who uses the token; it is on record."),
)
#: In a baseline; decoded, they take about a hundred bytes each.
_MAX_VALUES: Final = 1 << 18
#: Windows that are accepted when no episode is open and nothing is said, and at most.
_WINDOWS: Final = 24
_MAX_WINDOWS: Final = 1000
#: Features that the audit log names.
_MAX_NAMED: Final = 50

_REPLACE: Final = Endpoint(
    "PUT", _BASELINE, "replace_baseline", "Compare with this from now on", OPERATE,
    _WHO, (("format", "What `penstock baseline build` makes."),),
)  # fmt: skip
_FORGET: Final = Endpoint(
    "DELETE", _BASELINE, "forget_baseline", "Learn anew from the next rows", OPERATE, (), _WHO
)
_ACCEPT: Final = Endpoint(
    "POST", _BASELINE + "/accept", "accept_baseline", "What the last windows show is healthy",
    OPERATE, (),
    (
        ("windows", f"So many; by default those since the drift began, or the last {_WINDOWS}."),
        ("baseline", "Id of the baseline that you saw; 409 if it is another one now."),
        ("dry_run", "true: only say of what it would be made."),
        *_WHO,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Draft:
    """A baseline that windows would make, and what it is made of."""

    baseline: Baseline
    before: str
    learnt_anew: tuple[str, ...]
    windows: int
    rows: int
    start: float
    end: float
    calibrating_until: float | None

    def to_json(self) -> dict[str, Any]:
        """For an answer."""
        return {
            "windows": self.windows,
            "rows": self.rows,
            "start": self.start,
            "end": self.end,
            "features": len(self.baseline.references),
            "learnt_anew": list(self.learnt_anew),
            "calibrating_until": self.calibrating_until,
        }


class BaselineApi:
    """Its endpoints and who answers them.

    Args:
        coordinator: Knows the models, and keeps the audit log.
        state: ``state_dir/monitor``.
        clock: Unix seconds.
    """

    def __init__(
        self, coordinator: Coordinator, state: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._coordinator = coordinator
        self._windows = state / WINDOWS
        self._files = BaselineFiles(state / BASELINES)
        self._clock = clock

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {_REPLACE: self._replace, _FORGET: self._forget, _ACCEPT: self._accept}

    async def _replace(self, request: Request, actor: str) -> Response:
        model, version = named_version(self._coordinator, request)
        query = dict(request.query_params)
        try:
            baseline = decode(await _baseline(request))
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        config = self._config(model)
        plan = self._coordinator.planner.target.models.get(model)
        signature = None if plan is None else plan.declared.get(version)
        digest = self._digest(model, version)
        try:
            bound, left_out = accept(baseline, digest, signature, config.monitoring, config.log)
        except Unfit as error:
            raise InvalidRequest(str(error)) from None

        def write() -> str:
            evidence = {"data": bound.data, "rows": bound.rows}
            self._note("baseline", model, version, actor, query, bound.id, evidence)
            self._files.replace(model, str(version), bound)
            return bound.id

        found = await asyncio.to_thread(write)
        answer = {"model": model, "version": version, "baseline": found, "left_out": left_out}
        return wire.answer(answer)

    async def _forget(self, request: Request, actor: str) -> Response:
        model, version = named_version(self._coordinator, request)
        body = await wire.read_body(request)
        wire.check_keys(body, ("reason", "by"))

        def remove() -> None:
            self._note("baseline.forget", model, version, actor, body, None)
            self._files.forget(model, str(version))

        await asyncio.to_thread(remove)
        return wire.answer({"model": model, "version": version, "baseline": ""})

    async def _accept(self, request: Request, actor: str) -> Response:
        model, version = named_version(self._coordinator, request)
        body = await wire.read_body(request)
        wire.check_keys(body, ("windows", "baseline", "dry_run", "reason", "by"))
        only_look = wire.flag_of(body, "dry_run")
        if not only_look:
            body["reason"] = wire.needed_reason_of(body)
        number = _number_of(body)
        seen = body.get("baseline", "")
        options = self._config(model).monitoring

        def make() -> dict[str, Any]:
            draft = self._draft(model, version, number, options)
            if seen not in {"", draft.before}:
                raise Conflict(f"the baseline is {draft.before} now; look at its windows again")
            answer = {"model": model, "version": version, "before": draft.before}
            if only_look:
                return {**answer, "baseline": "", **draft.to_json()}
            figures = draft.to_json()
            figures["learnt_anew"] = figures["learnt_anew"][:_MAX_NAMED]
            made = draft.baseline.id
            self._note("baseline.accept", model, version, actor, body, made, figures, draft.before)
            self._files.accept(model, str(version), draft.baseline)
            return {**answer, "baseline": made, **draft.to_json()}

        try:
            return wire.answer(await asyncio.to_thread(make))
        except sqlite3.Error as error:
            raise Unavailable(f"the windows cannot be read: {error}") from error

    def _draft(self, model: str, version: int, number: int | None, options: DriftOptions) -> _Draft:
        """The baseline that the last windows make."""
        closed = judged_windows(self._windows, model, str(version), number, _WINDOWS)
        windows = [one.window for one in closed]
        rows = sum(one.rows for one in windows)
        least = options.min_rows
        if rows < least:
            raise Conflict(f"the windows have {rows} rows together, expected at least {least}")
        before = closed[-1].baseline
        plan = self._coordinator.planner.target.models.get(model)
        files = References(self._files, {} if plan is None else plan.versions)
        references = files.in_force(model, str(version), before)
        if not references:
            raise Conflict(
                f"the baseline {before} of the last window is not in force any more; "
                "wait until a window closes under the one that is"
            )
        found = accepted_references(references, windows, options)
        if not found.references:
            raise Conflict(
                "the windows are too far from the baseline for its bins; use `baseline forget` "
                "and have it learnt from the next rows"
            )
        now = self._clock()
        made = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
        digest = self._digest(model, version)
        return _Draft(
            Baseline(found.references, FROM_ACCEPTED, "", digest, made),
            before,
            found.learnt_anew,
            len(windows),
            rows,
            min(one.start for one in windows),
            max(one.end for one in windows),
            calibrating_until(found, options, now),
        )

    def _note(
        self,
        action: str,
        model: str,
        version: int,
        actor: str,
        said: dict[str, Any],
        after: str | None,
        figures: dict[str, Any] | None = None,
        before: str | None = None,
    ) -> None:
        """Put it on record before it happens."""
        self._coordinator.store.note(
            AuditEvent(
                action,
                wire.actor_of(actor, said),
                model,
                before={"baseline": before or self._in_force(model, version)},
                after={"baseline": after},
                reason=wire.reason_of(said),
                evidence={
                    "version": version,
                    "digest": self._digest(model, version),
                    **(figures or {}),
                },
                generation=self._coordinator.store.state.generation,
            )
        )

    def _in_force(self, model: str, version: int) -> str | None:
        """Id of the accepted or else the built baseline; ``None`` if there is none."""
        for path in (self._files.accepted, self._files.built):
            try:
                found = read_baseline(path(model, str(version)))
            except (OSError, ValueError):
                continue
            if found is not None:
                return found.id
        return None

    def _config(self, model: str) -> ModelConfig:
        plan = self._coordinator.planner.target.models.get(model)
        return ModelConfig() if plan is None else plan.config

    def _digest(self, model: str, version: int) -> str:
        result = self._coordinator.planner.findings.results.get((model, version))
        return "" if result is None else result.digest


def _number_of(body: dict[str, Any]) -> int | None:
    """How many windows are asked for; ``None`` if nothing is said."""
    number = body.get("windows")
    if number is None:
        return None
    if type(number) is not int or not 1 <= number <= _MAX_WINDOWS:
        shown = str(number)[: wire.MAX_SHOWN]
        raise InvalidRequest(f"windows is {shown!r}, expected a number from 1 to {_MAX_WINDOWS}")
    return number


async def _baseline(request: Request) -> bytes:
    body = await read_body(request, MAX_BYTES)
    check_media_type(request.headers.get("content-type"), (JSON,))
    check_values(body, _MAX_VALUES)
    return body
