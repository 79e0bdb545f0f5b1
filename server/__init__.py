"""The server: the only room that sees all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.server.http.single import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> Any:
    """`create_app`, when somebody asks: the supervisor must stay small."""
    if name != "create_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from penstock.server.http.single import create_app

    return create_app
