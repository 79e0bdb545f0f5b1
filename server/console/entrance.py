"""The log-in of the console: by a token, or by a link that works once."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from starlette.responses import RedirectResponse

from penstock.server.auth.sessions import COOKIE, SESSION_SECONDS
from penstock.server.errors import InvalidRequest
from penstock.server.ports.bodies import read_body

from .admin_api import AdminApi
from .login_page import login_page
from .visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Scope

    from penstock.server.auth.sessions import Sessions
    from penstock.server.auth.tokens import Tokens

#: Path of the console on the admin port.
PATH: Final = "/console"
#: Header of a request by which an open page asks for itself anew; `console.html` sends it.
RENEWED: Final = "x-penstock-renewed"
#: Header in which the script of a page sends the secret of its session; `try.html` does.
CSRF: Final = "x-csrf-token"
_MAX_FORM_BYTES: Final = 64 * 1024
_MAX_FIELDS: Final = 32
_UNAUTHORIZED: Final = 401


class Entrance:
    """Knows who visits.

    Args:
        admin: The endpoints of the admin port, behind its border.
        tokens: The tokens of the server.
        sessions: Browsers that have logged in.
        prefix: Path of the admin port as the browser sees it, from the scope of a request.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        admin: ASGIApp,
        tokens: Tokens,
        sessions: Sessions,
        prefix: Callable[[Scope], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._admin = admin
        self._tokens = tokens
        self._sessions = sessions
        self._prefix = prefix
        self._clock = clock

    def visit(self, request: Request) -> Visit:
        """The sender of a request, with the rights of the sender."""
        session = self._sessions.find(request.cookies.get(COOKIE, ""), self._clock())
        holder = None if session is None else self._tokens.holder(session.sha256)
        root = self._prefix(request.scope) + PATH
        api, renewed = AdminApi(self._admin, holder), RENEWED in request.headers
        return Visit(root, api, None if holder is None else session, renewed)

    async def login(self, request: Request) -> Response:
        """By a token that is typed."""
        visit = self.visit(request)
        if request.method == "GET":
            return visit.answer(login_page(visit.root))
        fields = await form_fields(request)
        digest = hashlib.sha256(fields.get("token", "").strip().encode()).hexdigest()
        if self._tokens.holder(digest) is None:
            why = "This token is not known here."
            return visit.answer(login_page(visit.root, why), status=_UNAUTHORIZED)
        return self._opened(request, digest)

    async def enter(self, request: Request) -> Response:
        """From a link that works once."""
        code = request.query_params.get("code", "")
        digest = self._sessions.redeem(code, self._clock())
        if digest is None:
            visit = self.visit(request)
            why = "The link has been used, or is too old. Make a new one: penstock ui"
            return visit.answer(login_page(visit.root, why), status=_UNAUTHORIZED)
        return self._opened(request, digest)

    def _opened(self, request: Request, digest: str) -> Response:
        answer = RedirectResponse(self.visit(request).root + "/", 303)
        cookie = self._sessions.open(digest, self._clock())
        self._keep_cookie(request, answer, cookie, int(SESSION_SECONDS))
        return answer

    async def logout(self, request: Request, visit: Visit) -> Response:
        """The session is over."""
        self._sessions.close(request.cookies.get(COOKIE, ""))
        answer = RedirectResponse(visit.at("login"), 303)
        self._keep_cookie(request, answer, "", 0)
        return answer

    def _keep_cookie(self, request: Request, answer: Response, cookie: str, seconds: int) -> None:
        """Have the browser keep the cookie for so long, for the console alone."""
        answer.set_cookie(
            COOKIE,
            cookie,
            max_age=seconds,
            path=self.visit(request).root,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )


async def form_fields(request: Request) -> dict[str, str]:
    """The fields of a form.

    Raises:
        InvalidRequest: It is no form.
        BodyTooLarge: It is larger than any form.
    """
    body = await read_body(request, _MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
        )
    except ValueError:
        raise InvalidRequest("the body is no form in UTF-8") from None
    return dict(pairs)
