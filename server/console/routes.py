"""The pages, forms and calls that a part of the console adds to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from .visit import Visit

    #: Answers a visit. A form finds its fields in ``request.state.fields``.
    Show = Callable[[Request, Visit], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Routes:
    """The handlers of a part of the console, by path below the console's.

    Attributes:
        pages: Shown to who may look.
        forms: Sent by a form that carries the secret of its session. A form puts the path of the
            page that follows into ``request.state.after``.
        calls: Sent by the script of a page, with the secret of the session in a header; the body is
            not read before.
    """

    pages: Mapping[str, Show] = field(default_factory=dict)
    forms: Mapping[str, Show] = field(default_factory=dict)
    calls: Mapping[str, Show] = field(default_factory=dict)
