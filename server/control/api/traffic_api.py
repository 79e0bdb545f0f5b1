"""The traffic of the last hour on the admin port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.server.auth.tokens import OBSERVE

from . import wire
from .openapi import Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from .routes import Handler
    from .traffic_hour import TrafficHour

_SHOW: Final = Endpoint(
    "GET", "/admin/traffic", "traffic", "Requests per second of each model, by minute", OBSERVE
)


def handlers(hour: TrafficHour) -> dict[Endpoint, Handler]:
    """For `AdminApp`."""

    async def show(_: Request, __: str) -> Response:
        return wire.answer({"step_seconds": 60, "requests_per_second": hour.rates()})

    return {_SHOW: show}
