"""Bearer tokens and what each may do.

The server keeps no token but its own, which the command line finds in the state directory; of all
others it knows the SHA-256::

    [[token]]
    name = "ci"
    sha256 = "9f86d0…"
    scopes = ["operate"]

The file is read again when it changes; one that cannot be understood changes nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from penstock.monitoring.files.config_file import ConfigFileError, read_toml
from penstock.monitoring.files.decoding import convert
from penstock.monitoring.files.good_copy import keep_copy
from penstock.monitoring.files.stamp import Stamp, stamp_of
from penstock.server.errors import Forbidden, Unauthorized
from penstock.server.files.config_error import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG = logging.getLogger("penstock.admin")

PREDICT: Final = "predict"
OBSERVE: Final = "observe"
OPERATE: Final = "operate"
APPROVE: Final = "approve"
SCOPES: Final = (PREDICT, OBSERVE, OPERATE, APPROVE)
#: Who may act may look.
_IMPLIED: Final = {OPERATE: {OBSERVE}, APPROVE: {OBSERVE}}

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
#: Beside the server's own token: the tokens file as it was understood last.
GOOD_FILE: Final = "tokens-good.toml"
#: How a client is told what to send.
CHALLENGE: Final = ((b"www-authenticate", b'Bearer realm="penstock"'),)


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """``[[token]]`` as it is written."""

    name: Annotated[
        str, msgspec.Meta(pattern=r"^(?!admin\Z).", description="a text, and not 'admin'")
    ]
    sha256: str
    scopes: Annotated[
        tuple[Literal["predict", "observe", "operate", "approve"], ...],
        msgspec.Meta(min_length=1, description="a list of scopes"),
    ]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The tokens file as it is written."""

    token: Annotated[tuple[_Entry, ...], msgspec.Meta(description="[[token]] tables")] = ()


@dataclass(frozen=True, slots=True)
class Token:
    """A token without itself: who bears it, its SHA-256 in hex, what it covers."""

    name: str
    sha256: str
    scopes: frozenset[str]


class Tokens:
    """The tokens of a server.

    Args:
        admin: The file with the server's own token; ``None`` where nobody made one.
        listed: The file of all others, if there is one.
        on_change: Called when other tokens hold than before.
        patient: Whether a file that cannot be understood at first means the tokens that held last,
            or none but the server's own, until it is mended.

    Attributes:
        problem: Reason for which the tokens in force are not those of the file; empty while they
            are.

    Raises:
        ConfigError: That file cannot be understood.
        OSError: The server's own token is gone.
    """

    def __init__(
        self,
        admin: Path | None,
        listed: Path | None,
        on_change: Callable[[], object] | None = None,
        *,
        patient: bool = False,
    ) -> None:
        self.problem = ""
        self._patient = patient
        self._own: tuple[Token, ...] = ()
        if admin is not None:
            self._own = self._read_own(admin)
        self._good = None if admin is None else admin.with_name(GOOD_FILE)
        self._path = listed
        self._on_change = on_change
        self._stamp: Stamp | None = None
        self._listed: tuple[Token, ...] = ()
        if listed is not None:
            self._stamp = stamp_of(listed)
            self._listed = self._read(listed)

    def check(self, authorization: str | None, *scopes: str) -> Token:
        """Who sent this header; it must cover one of the scopes.

        Raises:
            Unauthorized: No valid token.
            Forbidden: It does not cover this.
        """
        return covering(self.identify(authorization), *scopes)

    def identify(self, authorization: str | None) -> Token:
        """Who sent this header.

        Raises:
            Unauthorized: No valid token.
        """
        scheme, _, secret = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise Unauthorized("send a token: authorization: Bearer …", headers=CHALLENGE)
        found = self.holder(hashlib.sha256(secret.strip().encode()).hexdigest())
        if found is None:
            raise Unauthorized("the token is not known here", headers=CHALLENGE)
        return found

    def holder(self, sha256: str) -> Token | None:
        """The token with this SHA-256, in hex; ``None`` if it is not in force."""
        self.refresh()
        found = None
        for token in (*self._own, *self._listed):  # every one, so that time tells nothing
            if hmac.compare_digest(token.sha256, sha256):
                found = token
        return found

    def _read_own(self, admin: Path) -> tuple[Token, ...]:
        try:
            digest = hashlib.sha256(admin.read_text().strip().encode()).hexdigest()
        except OSError as error:
            if not self._patient:
                raise
            LOG.error("the server's own token does not hold: %s", error)  # noqa: TRY400
            return ()
        return (Token("admin", digest, frozenset(SCOPES)),)

    def _keep(self, path: Path) -> None:
        self.problem = ""
        if self._good is not None:
            keep_copy(path, self._good)

    def _read(self, path: Path) -> tuple[Token, ...]:
        try:
            tokens = read_tokens(path)
        except ConfigError as error:
            if not self._patient:
                raise
            self.problem = f"{error}; until it is mended the tokens hold that held last"
            LOG.error("%s", self.problem)  # noqa: TRY400  one line says it
            with suppress(ConfigError):  # without a copy: only the server's own
                return () if self._good is None else read_tokens(self._good)
            return ()
        self._keep(path)
        return tokens

    def refresh(self) -> None:
        """Read the file again if it has changed."""
        if self._path is None or (stamp := stamp_of(self._path)) == self._stamp:
            return
        self._stamp = stamp
        try:
            listed = read_tokens(self._path)
        except ConfigError as error:
            self.problem = f"{error}; the tokens before it hold"
            LOG.error("%s", self.problem)  # noqa: TRY400  one line says it
            return
        LOG.info("%s: %d tokens", self._path, len(listed))
        self._keep(self._path)
        changed, self._listed = listed != self._listed, listed
        if changed and self._on_change is not None:
            self._on_change()


def covering(token: Token, *scopes: str) -> Token:
    """The token, if it covers one of the scopes.

    Raises:
        Forbidden: It covers none of them.
    """
    if token.scopes.isdisjoint(scopes):
        covered = ", ".join(sorted(token.scopes)) or "nothing"
        wanted = " or ".join(scopes)
        raise Forbidden(f"this needs the scope {wanted}; token {token.name!r} has {covered}")
    return token


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Read a tokens file.

    Raises:
        ConfigError: It cannot be read or says something that is not understood.
    """
    try:
        content = read_toml(path)
    except ConfigFileError as error:
        raise ConfigError(f"tokens_file {path}: {error}") from error
    source = f"tokens_file {path}"
    entries = convert(_File, content, source, noun="a table", error=ConfigError).token
    for number, one in enumerate(entries):
        if not _SHA256.fullmatch(one.sha256):  # not shown: it may be the token itself
            raise ConfigError(
                f"{source}: token[{number}].sha256 is not 64 hexadecimal digits in lower case"
            )
    if len({one.name for one in entries}) < len(entries):
        raise ConfigError(f"{source}: two tokens have the same name")
    return tuple(_token(one) for one in entries)


def _token(entry: _Entry) -> Token:
    implied = (_IMPLIED.get(one, ()) for one in entry.scopes)
    return Token(entry.name, entry.sha256, frozenset(entry.scopes).union(*implied))
