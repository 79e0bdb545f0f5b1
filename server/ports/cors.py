"""Web pages of other origins: which of them may call the prediction port (CORS).

A browser asks before it sends such a request (preflight), and shows a page only the answers that
allow the page's origin. Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.middleware.cors import CORSMiddleware

if TYPE_CHECKING:
    from starlette.types import ASGIApp

#: Only requests of browsers have it.
ORIGIN: Final = b"origin"
#: Headers of answers that a page may read beside the few that every page may.
_EXPOSED: Final = (
    "inference-header-content-length",
    "retry-after",
    "server-timing",
    "x-model-version",
    "x-penstock-arm",
    "x-penstock-fallback",
    "x-request-id",
)
#: Seconds for which a browser need not ask again.
_MAX_AGE: Final = 600


def with_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    """The app, with answers that let pages of these origins read them.

    No origin gets `Access-Control-Allow-Credentials`: the port knows no cookies, and a page that
    has a token sends it in a header.

    Args:
        app: Answers every request but preflights.
        origins: Such as ``https://app.example.com``, or ``*``; none leaves the app as it is.
    """
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "POST"),
        allow_headers=("*",),
        expose_headers=_EXPOSED,
        max_age=_MAX_AGE,
    )
