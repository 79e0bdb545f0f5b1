"""The page on which a file of labels is uploaded, and what its script asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from penstock.server.auth.tokens import PREDICT
from penstock.server.page.page import Page
from penstock.server.ports.bodies import read_body

from .routes import Routes

if TYPE_CHECKING:
    from starlette.requests import Request

    from .visit import Visit

#: Of a file; the endpoint takes no larger one either.
_MAX_FILE_BYTES: Final = 8 << 20
_EXAMPLE: Final = (
    "request_id,index,label,label_time\n"
    "3007d53b9a2a85ec5d1f0c4be7a98261,0,malignant,2031-05-01T12:30:00Z"
)


def label_routes() -> Routes:
    """The page and the upload."""
    return Routes(pages={"/labels": _page}, calls={"/labels/upload": _upload})


async def _page(_: Request, visit: Visit) -> Response:
    await visit.api.get("admin", "traffic")  # who may not look is asked to log in
    page = Page("Upload labels", "what turned out to be true of predictions, by their request ids")
    section = page.section("File")
    if not visit.may(PREDICT):
        section.callout("This needs a log-in with a token of the scope predict.")
        return visit.answer(page)
    section.text(
        "A .csv with a heading, or a .jsonl with an object a line, at most 8 MiB. index is the row "
        "of the request; index, label_time and source may be left out. A row that is no label is "
        "named with its line; the others are kept. What is sent twice counts once."
    )
    section.typed(_EXAMPLE)
    return visit.answer(page, template="labels.html")


async def _upload(request: Request, visit: Visit) -> Response:
    body = await read_body(request, _MAX_FILE_BYTES, "; send the file in parts")
    kind = request.headers.get("content-type", "")
    answer = await visit.api.exchange("POST", ("admin", "labels"), body, content_type=kind)
    return Response(answer.body, answer.status, media_type="application/json")
