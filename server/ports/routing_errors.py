"""Requests that no route takes, as errors like all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.server.errors import ApiError, MethodNotAllowed, NotFound

if TYPE_CHECKING:
    from starlette.exceptions import HTTPException
    from starlette.requests import Request


def routing_error(request: Request, error: HTTPException) -> ApiError:
    """The error of a request that Starlette does not route: no such path, or a wrong method.

    Args:
        request: The request.
        error: Starlette's own error.
    """
    if error.status_code == MethodNotAllowed.status:
        allow = (error.headers or {}).get("Allow", "GET")
        message = f"{request.method} {request.url.path} is not possible; use {allow}"
        return MethodNotAllowed(message, allow=allow)
    return NotFound(f"no route {request.url.path}; see /docs")
