"""Tokens on the prediction port, where the operator asks for them.

A head is judged when it is read, and remembered only if it may pass: a request whose head is known
costs nothing more. When other tokens hold, what is known is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.server.auth.tokens import CHALLENGE, OBSERVE, PREDICT, Tokens
from penstock.server.errors import ApiError, Unauthorized
from penstock.server.files.option_decoder import ConfigError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from penstock.server.inference.head import RequestHead

    Headers = Iterable[tuple[bytes, bytes]]

#: Between two looks at the tokens file; a token that is taken out is refused after at most so long.
CHECK_SECONDS: Final = 1.0
#: For probes and scrapers; the page itself says nothing of what is served.
OPEN_PATHS: Final = frozenset(("/v2/health/live", "/v2/health/ready", "/metrics", "/", "/docs"))
#: What hands something over needs `PREDICT`; all the rest is looking, which predicting needs, too.
_FEEDBACK: Final = "/v1/feedback"


class TokenGuard:
    """Asks for tokens.

    Args:
        loop: Where the tokens file is looked at, once a second.
        admin: The file with the server's own token, if it has one.
        listed: The file of all others, if there is one.
        forget: Called when other tokens hold than before.

    Raises:
        ConfigError: There is no token that anybody could send, or, where the server has none of
            its own, the file cannot be understood.
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
        # A worker that starts anew while somebody edits the file must not stay away.
        self._tokens = Tokens(admin, listed, forget, patient=admin is not None)
        self._loop = loop
        self._timer = loop.call_later(CHECK_SECONDS, self._look)

    def check_token(self, head: RequestHead) -> None:
        """Give the head of a prediction a problem, unless a token covers it.

        It takes the place of any other: who may not predict is told nothing else.
        """
        # It was just read, so its lines are pairs.
        refusal = self._refusal(head.lines, PREDICT)  # type: ignore[arg-type]
        if refusal is not None:
            head.problem = refusal

    def refusal(self, path: str, headers: Headers) -> ApiError | None:
        """Why a request for another path is refused; ``None`` if it may pass.

        Args:
            path: By which the request is routed, see `penstock.server.ports.paths`; empty if
                it has no meaning.
            headers: Names in lower case.
        """
        if path in OPEN_PATHS:
            return None
        scopes = (PREDICT,) if path == _FEEDBACK else (PREDICT, OBSERVE)
        return self._refusal(headers, *scopes)

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _refusal(self, headers: Headers, *scopes: str) -> ApiError | None:
        given = [value for name, value in headers if name == b"authorization"]
        try:
            if len(given) > 1:  # who else reads the request may choose the other one
                raise Unauthorized("header authorization is given twice", headers=CHALLENGE)
            self._tokens.check(given[0].decode("latin-1") if given else None, *scopes)
        except ApiError as error:
            return error
        return None

    def _look(self) -> None:
        self._timer = self._loop.call_later(CHECK_SECONDS, self._look)  # also if this look fails
        self._tokens.refresh()
