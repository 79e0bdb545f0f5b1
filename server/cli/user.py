"""Who sits at this command line, and why a command is given."""

from __future__ import annotations

from typing import Any


def said_by(reason: str) -> dict[str, Any]:
    """The person and the reason behind a command, for the record, where known."""
    said = {"reason": reason, "by": user()}
    return {key: one for key, one in said.items() if one}


def user() -> str:
    """Name of the user, for the record; nothing where the system does not know."""
    import re
    from getpass import getuser

    try:
        return re.sub(r"[^\w.@+-]", "_", getuser())[:64]
    except (OSError, KeyError):
        return ""
