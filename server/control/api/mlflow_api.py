"""The webhook of MLflow on the admin port: a signed message that an alias may have moved."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from penstock.server.errors import NotFound
from penstock.server.follow.webhook_signature import Deliveries
from penstock.server.ports import bodies

from . import wire
from .openapi import Endpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.control.coordination.alias_follower import AliasFollower

    Handler = Callable[[Request, str], Awaitable[Response]]

_WEBHOOK: Final = Endpoint(
    "POST", "/admin/webhooks/mlflow/{model}", "mlflow_webhook",
    "Have a followed alias looked at; signed by MLflow with the secret of its webhook",
)  # fmt: skip
_MAX_BODY_BYTES: Final = 1 << 16
_MAX_SECRET_BYTES: Final = 4096


class MlflowApi:
    """Its endpoint and who answers it. The signature stands for a token.

    Args:
        followers: The followed aliases, by the name they are served under.
        clock: Unix seconds.

    Attributes:
        deliveries: The webhooks that have come.
    """

    def __init__(
        self, followers: Mapping[str, AliasFollower], clock: Callable[[], float] = time.time
    ) -> None:
        self._followers = followers
        self._clock = clock
        self.deliveries = Deliveries()

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`; none where nothing is followed."""
        return {_WEBHOOK: self._webhook} if self._followers else {}

    async def _webhook(self, request: Request, _: str) -> Response:
        model = request.path_params["model"]
        follower = self._followers.get(model)
        file = None if follower is None else follower.alias.webhook_secret_file
        if follower is None or file is None:
            raise NotFound(f"no alias with a webhook is served as {model[: wire.MAX_SHOWN]!r}")
        body = await bodies.read_body(request, _MAX_BODY_BYTES)
        secret = (await asyncio.to_thread(file.read_bytes)).strip()[:_MAX_SECRET_BYTES]
        new = self.deliveries.check(request.headers, body, secret, self._clock())
        if new:
            follower.woken.set()
        return wire.answer({"looked": new})
