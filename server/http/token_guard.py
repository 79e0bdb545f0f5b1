"""Checks tokens on the prediction port, if the operator wants that.

A head is checked when it is parsed, and cached only if its token is valid: a request with a cached
head costs nothing more. When the tokens change, the cache is cleared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.server.auth.tokens import CHALLENGE, OBSERVE, PREDICT, Tokens
from penstock.server.errors import ApiError, Unauthorized
from penstock.server.files.config_error import ConfigError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from penstock.server.inference.head import RequestHead

    Headers = Iterable[tuple[bytes, bytes]]

#: Seconds between two reads of the tokens file; a removed token is refused after at most so long.
CHECK_SECONDS: Final = 1.0
#: Paths for probes and scrapers, which need no token; the page itself names no model.
OPEN_PATHS: Final = frozenset(
    ("/v2/health/live", "/v2/health/ready", "/ping", "/health", "/metrics", "/", "/docs")
)
#: The path of labels needs `PREDICT`; all other paths need `PREDICT` or `OBSERVE`.
_FEEDBACK: Final = "/v1/feedback"


class TokenGuard:
    """Checks the tokens of requests.

    Args:
        loop: The event loop, on which the tokens file is read once a second.
        admin: The file with the server's own token, if it has one.
        listed: The file of all other tokens, if there is one.
        forget: Called when the tokens have changed.

    Raises:
        ConfigError: There is no valid token at all, or the server has no token of its own and the
            file cannot be read.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        admin: Path | None,
        listed: Path | None,
        forget: Callable[[], object],
    ) -> None:
        if admin is None and listed is None:
            raise ConfigError("require_predict_token is set without tokens_file, expected both")
        # A worker that restarts while the file is being edited must start all the same.
        self._tokens = Tokens(admin, listed, forget, patient=admin is not None)
        self._loop = loop
        self._timer = loop.call_later(CHECK_SECONDS, self._look)

    def check_token(self, head: RequestHead) -> None:
        """Set the `problem` of a prediction's head, unless a token covers the request.

        It replaces any other problem: a caller without permission is told nothing else.
        """
        # It was just read, so its lines are pairs.
        refusal = self._refusal(head.lines, PREDICT)  # type: ignore[arg-type]
        if refusal is not None:
            head.problem = refusal

    def refusal(self, path: str, headers: Headers) -> ApiError | None:
        """The reason why a request for another path is refused; ``None`` if it is not.

        Args:
            path: The path by which the request is routed, see `penstock.server.ports.paths`; empty
                if it has no meaning.
            headers: Names in lower case.
        """
        if path in OPEN_PATHS:
            return None
        scopes = (PREDICT,) if path == _FEEDBACK else (PREDICT, OBSERVE)
        return self._refusal(headers, *scopes)

    def close(self) -> None:
        """Stop reading the tokens file."""
        self._timer.cancel()

    def _refusal(self, headers: Headers, *scopes: str) -> ApiError | None:
        given = [value for name, value in headers if name == b"authorization"]
        try:
            if len(given) > 1:  # a proxy may choose the other one
                raise Unauthorized("header authorization is given twice", headers=CHALLENGE)
            self._tokens.check(given[0].decode("latin-1") if given else None, *scopes)
        except ApiError as error:
            return error
        return None

    def _look(self) -> None:
        self._timer = self._loop.call_later(CHECK_SECONDS, self._look)  # also if this check fails
        self._tokens.refresh()
