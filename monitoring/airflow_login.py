"""The login of Airflow 3: a token for a user and a password.

Source: ``POST /auth/token`` of Airflow's simple and FAB auth managers.
"""

from __future__ import annotations

from typing import Final

import orjson

LOGIN_PATH: Final = "/auth/token"
LOGIN_HEADERS: Final = {"content-type": "application/json"}


def login_body(login: str) -> bytes:
    """The body of the request for a token, of ``user:password``."""
    user, _, password = login.partition(":")
    return orjson.dumps({"username": user, "password": password})


def token_in(content: bytes) -> str:
    """The token in the answer.

    Raises:
        ValueError: There is none.
    """
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        found = None
    token = found.get("access_token") if isinstance(found, dict) else None
    if not isinstance(token, str) or not token:
        raise ValueError(f"{LOGIN_PATH} answered without an access_token")
    return token
