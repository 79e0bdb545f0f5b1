"""Asking a model from the admin port: its description, and predictions by the prediction port."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from starlette.responses import Response

from penstock.server.auth.tokens import OBSERVE, PREDICT
from penstock.server.inference.server_timing import TIMING
from penstock.server.ports.bodies import read_body
from penstock.server.ports.media_types import JSON, check_media_type

from . import wire
from .openapi import MODEL, Endpoint

if TYPE_CHECKING:
    from starlette.requests import Request

    from .prediction_client import PredictionClient
    from .routes import Handler

#: Of a request that a person makes on a page: a picture fits.
MAX_BODY_BYTES: Final = 8 << 20
_OK: Final = 200
#: Headers of an answer of the prediction port that are handed on.
_KEPT: Final = (
    "content-type", "server-timing", "x-error-code", "x-model-version", "x-penstock-arm",
    "x-request-id",
)  # fmt: skip
_DESCRIBE: Final = Endpoint(
    "GET", MODEL + "/openapi.json", "describe_model",
    "What the model takes and gives, as the prediction port describes it", OBSERVE,
)  # fmt: skip
_PREDICT: Final = Endpoint(
    "POST", MODEL + "/predict", "predict",
    "Ask the model by way of the prediction port; body and answer are those of the port", PREDICT,
    (("rows", "true: the body has rows, as for :predict; else tensors."), ("version", "Which.")),
)  # fmt: skip


class TryApi:
    """Its endpoints and who answers them.

    Args:
        client: Asks the prediction port.
    """

    def __init__(self, client: PredictionClient) -> None:
        self._client = client

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {_DESCRIBE: self._describe, _PREDICT: self._predict}

    async def _describe(self, request: Request, _: str) -> Response:
        query = urlencode({"model": request.path_params["model"]})
        reply = await self._client.ask("GET", f"/openapi.json?{query}")
        if reply.status != _OK:
            return Response(reply.body, reply.status, media_type=JSON)
        described: dict[str, Any] = json.loads(reply.body)
        return wire.answer({**described, "servers": [{"url": self._client.url}]})

    async def _predict(self, request: Request, _: str) -> Response:
        check_media_type(request.headers.get("content-type"), (JSON,))
        model, version = request.path_params["model"], request.query_params.get("version")
        target = _target(model, version, rows=wire.asked(request, "rows"))
        body = await read_body(request, MAX_BODY_BYTES)
        headers = {"content-type": JSON}
        reply = await self._client.ask("POST", f"{target}?{TIMING}=true", body, headers)
        kept = {name: reply.headers[name] for name in _KEPT if name in reply.headers}
        return Response(reply.body, reply.status, kept)


def _target(model: str, version: str | None, *, rows: bool) -> str:
    """Path of a prediction."""
    which = "" if version is None else f"/versions/{wire.version_of(version)}"
    name = quote(model, safe="")
    return f"/v1/models/{name}{which}:predict" if rows else f"/v2/models/{name}{which}/infer"
