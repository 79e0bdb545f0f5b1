"""Browsers that have logged in: sessions by cookie, and links that log in once.

A session holds the SHA-256 of the token that it was opened with, not the token. Who takes that
token out of the tokens file ends its sessions. Sessions live in memory: they end with the process.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Final

#: Name of the cookie.
COOKIE: Final = "penstock-session"
#: Key of an ASGI scope under which an app of this process puts the `Token` that it has checked.
#: No client can set it.
HOLDER: Final = "penstock.token"

#: How long a session lasts, and a link: seconds.
SESSION_SECONDS: Final = 12 * 3600.0
LINK_SECONDS: Final = 60.0
#: Sessions and links at a time; of more, the oldest end.
MAX_SESSIONS: Final = 256
MAX_LINKS: Final = 64


@dataclass(slots=True)
class Session:
    """A browser that has logged in.

    Attributes:
        sha256: Of its token, in hex.
        csrf: Secret that each of its forms carries.
        until: Time of its end, on the clock of its caller.
        notice: Outcome of the last action, for the next page; empty without one.
        tone: ``good``, ``warning`` or ``bad``: how the notice looks.
    """

    sha256: str
    csrf: str
    until: float
    notice: str = ""
    tone: str = ""

    def sent(self, secret: str) -> bool:
        """Whether a form with this secret is of this session."""
        return hmac.compare_digest(secret.encode(), self.csrf.encode())


class Sessions:
    """All sessions and links of a server; bounded. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._links: dict[str, tuple[str, float]] = {}

    def open(self, sha256: str, now: float) -> str:
        """A new session for the holder of a token; gives the value of its cookie."""
        self._forget(now)
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        cookie = secrets.token_urlsafe(32)
        self._sessions[cookie] = Session(sha256, secrets.token_urlsafe(32), now + SESSION_SECONDS)
        return cookie

    def find(self, cookie: str, now: float) -> Session | None:
        """The session of a cookie; ``None`` if it has ended or there never was one."""
        session = self._sessions.get(cookie)
        return session if session is not None and session.until > now else None

    def close(self, cookie: str) -> None:
        """End a session."""
        self._sessions.pop(cookie, None)

    def link(self, sha256: str, now: float) -> str:
        """A code that opens a session once, for the holder of a token."""
        self._forget(now)
        while len(self._links) >= MAX_LINKS:
            del self._links[next(iter(self._links))]
        code = secrets.token_urlsafe(32)
        self._links[code] = sha256, now + LINK_SECONDS
        return code

    def redeem(self, code: str, now: float) -> str | None:
        """The SHA-256 that a code stands for; the code is worth nothing afterwards."""
        sha256, until = self._links.pop(code, ("", 0.0))
        return sha256 if until > now else None

    def _forget(self, now: float) -> None:
        """Drop what has ended."""
        self._sessions = {key: one for key, one in self._sessions.items() if one.until > now}
        self._links = {key: one for key, one in self._links.items() if one[1] > now}
