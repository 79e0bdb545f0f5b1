"""What an answer of a server of ours says when it refuses a request."""

from __future__ import annotations

import json


def error_message(body: bytes) -> str:
    """The message in the body of an error; empty if the body is no error of ours."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
