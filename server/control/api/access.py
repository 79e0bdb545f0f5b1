"""The rights on the admin port: which token may do what.

Health and metrics are open, as scrapers and probes expect. Changes need a token, always. Looking
needs one when the port can be reached from other machines, or when tokens were configured.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from penstock.server.auth.sessions import HOLDER
from penstock.server.auth.tokens import OBSERVE, Tokens, covering

if TYPE_CHECKING:
    from starlette.requests import Request

    from penstock.server.config.config import ServerConfig


class Access:
    """Checks the tokens of requests.

    Args:
        tokens: Known here.
        open_reads: Whether looking needs no token.

    Attributes:
        open_reads: As given.
    """

    def __init__(self, tokens: Tokens, *, open_reads: bool) -> None:
        self._tokens = tokens
        self.open_reads = open_reads

    def check(self, request: Request, scope: str) -> str:
        """Name of the token that covers this; empty if none is needed.

        Raises:
            Unauthorized: No valid token.
            Forbidden: It does not cover this.
        """
        holder = request.scope.get(HOLDER)  # the console has checked it
        if holder is not None:
            return covering(holder, scope).name
        return self.check_header(request.headers.get("authorization"), scope)

    def check_header(self, authorization: str | None, scope: str) -> str:
        """As `check`, of a header or of metadata.

        Args:
            authorization: Its value; ``None`` if there is none.
            scope: Scope that the token must cover.
        """
        if authorization is None and scope == OBSERVE and self.open_reads:
            return ""
        return self._tokens.check(authorization, scope).name


def reads_are_open(config: ServerConfig) -> bool:
    """True if reading needs no token: the port is on loopback, and there is no tokens file."""
    return config.tokens_file is None and _is_loopback(config.admin_host)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
