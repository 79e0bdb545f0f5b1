"""Links to the console that log in once, on the admin port."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from penstock.server.auth.sessions import LINK_SECONDS
from penstock.server.auth.tokens import OBSERVE
from penstock.server.console.entrance import PATH

from . import wire
from .openapi import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.auth.sessions import Sessions
    from penstock.server.auth.tokens import Tokens

    from .routes import Handler

_LINK: Final = Endpoint(
    "POST", "/admin/console/links", "console_link", "A link that logs a browser in, once", OBSERVE
)


def handlers(
    sessions: Sessions, tokens: Tokens, clock: Callable[[], float] = time.monotonic
) -> dict[Endpoint, Handler]:
    """For `AdminApp`.

    Args:
        sessions: Sessions of the console.
        tokens: Tokens of the server.
        clock: Monotonic seconds.
    """

    async def link(request: Request, _: str) -> Response:
        holder = tokens.identify(request.headers.get("authorization"))
        code = sessions.link(holder.sha256, clock())
        return wire.answer({"path": f"{PATH}/enter?code={code}", "seconds": LINK_SECONDS})

    return {_LINK: link}
