"""Performance on the admin port: how good versions have been, by their labels."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.feedback.report import Span, performance
from penstock.server.auth.tokens import OBSERVE
from penstock.server.errors import InvalidRequest, Unavailable
from penstock.server.rollout.options import parse_duration

from . import wire
from .openapi import Endpoint
from .registry_names import no_such_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.control.coordination.coordinator import Coordinator

    from .routes import Handler

#: What is shown when nobody says.
SINCE: Final = "7d"
WINDOW: Final = "24h"
_ASKED: Final = (("since", SINCE), ("window", WINDOW))
_SHOW: Final = Endpoint(
    "GET",
    "/admin/models/{model}/performance",
    "performance",
    "How good its versions have been, by their labels",
    OBSERVE,
    (
        ("since", f"How far back, by when predictions were made; {SINCE} by default."),
        ("window", f"Length of the windows; {WINDOW} by default, whole hours."),
        ("version", "Only this one."),
        ("by", "Figures by segment, too: one of the segments in model.toml."),
    ),
)


class PerformanceApi:
    """Its endpoint and who answers it.

    Args:
        coordinator: Knows the models.
        state: ``state_dir/monitor``.
        clock: Unix seconds.
    """

    def __init__(
        self, coordinator: Coordinator, state: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._coordinator = coordinator
        self._state = state
        self._clock = clock

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {_SHOW: self._show}

    async def _show(self, request: Request, _: str) -> Response:
        model = request.path_params["model"]
        now = self._clock()
        query = request.query_params
        since, window = (parse_duration(query.get(*one), one[0]) for one in _ASKED)
        version = query.get("version")
        try:
            span = Span(now - since, now + 1, window)
            by = query.get("by", "")
            found = await asyncio.to_thread(performance, self._state, model, span, by)
        except sqlite3.Error as error:
            raise Unavailable(f"the labels cannot be read: {error}") from error
        models = self._coordinator.planner.findings.snapshot.models
        if model not in models and not found["versions"]:
            raise no_such_model(model, models)
        _check_field(by, found["versions"])
        if version is not None:
            chosen = str(wire.version_of(version))
            found["versions"] = [one for one in found["versions"] if one["version"] == chosen]
        return wire.answer(found)


def _check_field(by: str, versions: Sequence[dict[str, Any]]) -> None:
    """Whether there are labels by this field of segments.

    Raises:
        InvalidRequest: There are none.
    """
    told = [one["segments"] for one in versions if one["segments"] is not None]
    fields = sorted({field for one in told for field in one["fields"]})
    if by and by not in fields:
        raise InvalidRequest(
            f"there are no labels by {by!r}; labels by segment: {', '.join(fields) or 'none'}"
        )
