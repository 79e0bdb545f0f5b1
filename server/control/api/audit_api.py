"""The audit log on the admin port: its last records, and whether its chain holds."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.decoding import ContentError
from penstock.server.auth.tokens import OBSERVE
from penstock.server.desired_state.audit import read_log, verify_log
from penstock.server.errors import Unavailable

from . import wire
from .audit_history import as_json
from .openapi import Endpoint

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from .routes import Handler

#: Records in one answer at most, and when nothing is said.
MAX_LIMIT: Final = 1000
_LIMIT: Final = 100

_SHOW: Final = Endpoint(
    "GET", "/admin/audit", "audit", "The last records of the audit log, newest first", OBSERVE,
    (
        ("limit", f"At most so many; {_LIMIT} by default, {MAX_LIMIT} at most."),
        ("verify", "true: follow the chain of all records, too."),
    ),
)  # fmt: skip


def handlers(audit: Path) -> dict[Endpoint, Handler]:
    """For `AdminApp`.

    Args:
        audit: Directory of the log.
    """

    async def show(request: Request, _: str) -> Response:
        limit = wire.limit_of(request, _LIMIT, MAX_LIMIT)
        verify = wire.asked(request, "verify")
        found = await asyncio.to_thread(_read, audit, limit, verify=verify)
        return wire.answer(found)

    return {_SHOW: show}


def _read(audit: Path, limit: int, *, verify: bool) -> dict[str, Any]:
    """Blocking.

    Raises:
        Unavailable: The log is damaged.
    """
    try:
        last = deque(read_log(audit), maxlen=limit)
    except (ContentError, OSError) as error:
        raise Unavailable(f"the audit log cannot be read: {error}") from error
    records = [{**as_json(one, one.event.model), "model": one.event.model} for one in last]
    checked = asdict(verify_log(audit)) if verify else None
    return {"records": records[::-1], "verification": checked}
