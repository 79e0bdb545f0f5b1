"""Who sits at this command line."""

from __future__ import annotations


def user() -> str:
    """Who sits here, for the record; nothing where the system does not know."""
    import re
    from getpass import getuser

    try:
        return re.sub(r"[^\w.@+-]", "_", getuser())[:64]
    except (OSError, KeyError):
        return ""
