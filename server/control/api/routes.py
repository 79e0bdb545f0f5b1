"""The routes of the admin port, each behind the check of the caller's token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from .access import Access
    from .openapi import Endpoint

    #: Answers a request, with the name of the token that it came with.
    Handler = Callable[[Request, str], Awaitable[Response]]
    _Serve = Callable[[Request], Awaitable[Response]]


def routes_of(handlers: Mapping[Endpoint, Handler], access: Access) -> list[Route]:
    """A route for each path, so that a wrong method is answered with all that the path takes.

    Args:
        handlers: Handler of each endpoint.
        access: Checks the tokens.
    """
    paths: dict[str, dict[str, _Serve]] = {}
    for endpoint, handler in handlers.items():
        guarded = _guarded(endpoint, handler, access)
        paths.setdefault(endpoint.path, {})[endpoint.method] = guarded
    return [
        Route(path, _by_method(methods), methods=list(methods)) for path, methods in paths.items()
    ]


def _by_method(methods: Mapping[str, _Serve]) -> _Serve:
    async def serve(request: Request) -> Response:
        return await methods["GET" if request.method == "HEAD" else request.method](request)

    return serve


def _guarded(endpoint: Endpoint, handler: Handler, access: Access) -> _Serve:
    async def serve(request: Request) -> Response:
        actor = access.check(request, endpoint.scope) if endpoint.scope else ""
        return await handler(request, actor)

    return serve
