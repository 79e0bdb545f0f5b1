"""``POST /v1/feedback``: takes labels of predictions that this server has made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import Response

from penstock.server.errors import InvalidRequest, Unavailable
from penstock.server.ports.bodies import read_body
from penstock.server.ports.media_types import JSON, MSGPACK, check_media_type

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    #: A function of a body and whether it is msgpack; it returns when the labels are on a disk.
    HandOver = Callable[..., Awaitable[dict[str, Any]]]

#: Largest body; far more than the largest number of labels takes.
MAX_BODY_BYTES: Final = 4 << 20


class FeedbackRoute:
    """The handler of labels.

    Args:
        hand_over: Stores labels; ``None`` if the server keeps none.
    """

    def __init__(self, hand_over: HandOver | None = None) -> None:
        self.hand_over = hand_over

    async def answer(self, request: Request) -> Response:
        """Answer a request.

        Raises:
            ApiError: Labels were not accepted, and no label of the request is kept. With
                ``?partial=true`` the valid labels are kept, and the others are listed.
        """
        given = check_media_type(request.headers.get("content-type"), (JSON, *MSGPACK))
        if self.hand_over is None:
            raise Unavailable(
                "labels are not kept here: that takes `penstock serve` with a sample_rate above 0"
            )
        body = await read_body(request, MAX_BODY_BYTES, "; send fewer labels")
        partial = request.query_params.get("partial", "false")
        if partial not in {"true", "false"}:
            raise InvalidRequest(f"partial is {partial[:40]!r}, expected true or false")
        outcomes = await self.hand_over(body, packed=given != JSON, partial=partial == "true")
        return Response(orjson.dumps(outcomes), media_type=JSON)


_PARTIAL: Final[dict[str, Any]] = {
    "name": "partial",
    "in": "query",
    "description": "true: keep the labels that are understood, and list the others as `problems`.",
    "schema": {"type": "boolean", "default": False},
}


def feedback_path() -> dict[str, Any]:
    """The path's entry in the OpenAPI document."""
    label = {"$ref": "#/components/schemas/Label"}
    content = {
        "schema": {"oneOf": [label, {"type": "array", "items": label}]},
        "example": [{"request_id": "3007d53b9a2a85ec5d1f0c4be7a98261", "label": 1}],
    }
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "post": {
            "operationId": "feedback",
            "summary": "Say what turned out to be true of predictions",
            "tags": ["server"],
            "parameters": [_PARTIAL],
            "requestBody": {"required": True, "content": {"application/json": content}},
            "responses": {
                "200": {"description": "Kept; how many were new, duplicates, corrections."},
                "4XX": {"description": "Not a label; none was kept.", "content": problem},
                "503": {"description": "Not now; send them again.", "content": problem},
            },
        }
    }


LABEL_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["label"],
    "additionalProperties": False,
    "properties": {
        "request_id": {"type": "string", "description": "The x-request-id of the prediction."},
        "inference_id": {"type": "string", "description": "The same by another name."},
        "index": {"type": "integer", "minimum": 0, "description": "Row of the request."},
        "label": {"type": ["number", "string", "boolean"]},
        "label_time": {"type": ["number", "string"], "description": "Unix seconds or ISO 8601."},
        "source": {"type": "string", "maxLength": 64},
        "unit": {"type": "string", "maxLength": 128, "description": "Subject of the prediction."},
    },
}
