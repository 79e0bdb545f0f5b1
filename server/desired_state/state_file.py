"""The desired state on disk: one file, replaced at once, with a checksum and the copy before it.

STATE/state.json             as it is
STATE/state.json.previous    as it was one change before
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError, convert, decode_json
from penstock.server.errors import Conflict
from penstock.server.files.durable import locked

from .state import DesiredState

if TYPE_CHECKING:
    from pathlib import Path

STATE_FILE: Final = "state.json"

_FORMAT: Final = 1
_MAX_BYTES: Final = 64 << 20
_SETS: Final = ("loaded", "unloaded", "accepted")


class StateDamaged(Exception):
    """The file is not as it was written.

    Attributes:
        last_good: The state one change before, if that copy is whole.
    """

    def __init__(self, message: str, last_good: DesiredState | None) -> None:
        super().__init__(message)
        self.last_good = last_good


class StateFile:
    """The desired state in a directory.

    Args:
        directory: Made if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self.path = directory / STATE_FILE
        self._previous = directory / f"{STATE_FILE}.previous"
        self._lock = directory / f".{STATE_FILE}.lock"

    def read(self) -> DesiredState:
        """The state; that of a new server if there is none.

        Raises:
            StateDamaged: It cannot be read; the copy before it comes along.
        """
        try:
            state = _read(self.path)
        except (ContentError, OSError) as error:
            raise StateDamaged(*self._explain(error)) from error
        if state is None and self._previous.exists():
            raise StateDamaged(*self._explain(FileNotFoundError(f"{self.path} is gone")))
        return state or DesiredState()

    def write(self, state: DesiredState, expected: int | None) -> None:
        """Replace the state. When this returns it is on disk; until then the old one is.

        Args:
            state: The new one.
            expected: Generation of the state that it was made from; ``None`` replaces whatever is
                there, a damaged file, too, and then the copy before it is kept.

        Raises:
            Conflict: Somebody else wrote another one meanwhile.
            StateDamaged: As `read`.
            OSError: The disk; the old one is still there.
        """
        with locked(self._lock):
            try:
                now = self.read()
            except StateDamaged:
                if expected is not None:
                    raise
            else:
                if expected is not None and now.generation != expected:
                    raise Conflict(
                        f"somebody else has written {self.path}: it is at generation "
                        f"{now.generation}, you saw {expected}; look again and decide anew"
                    )
                if self.path.exists():
                    replace_file(self._previous, encode_state(now), 0o600)
            replace_file(self.path, encode_state(state), 0o600)

    def set_aside(self) -> None:
        """Keep a damaged file under another name, so that an operator can look at it."""
        with locked(self._lock), suppress(FileNotFoundError):
            import hashlib  # as in `terms_digest`: not in the supervisor

            digest = hashlib.sha256(self.path.read_bytes()[:_MAX_BYTES]).hexdigest()[:16]
            self.path.rename(self.path.with_name(f"{STATE_FILE}.damaged-{digest}"))

    def _explain(self, error: Exception) -> tuple[str, DesiredState | None]:
        try:
            last_good = _read(self._previous)
        except (ContentError, OSError):
            last_good = None
        offer = (
            "and there is no copy of the one before"
            if last_good is None
            else f"the one before, generation {last_good.generation}, is whole: {self._previous}"
        )
        return f"the desired state cannot be read: {error}; {offer}", last_good


def encode_state(state: DesiredState) -> bytes:
    """The file's content: JSON for people, with a checksum."""
    models = {
        name: {**asdict(one), **{key: sorted(getattr(one, key)) for key in _SETS}}
        for name, one in sorted(state.models.items())
    }
    body = {"format": _FORMAT, "generation": state.generation, "models": models}
    return json.dumps({**body, "sha256": _sum(body)}, indent=2, allow_nan=False).encode() + b"\n"


def decode_state(content: bytes, source: str = STATE_FILE) -> DesiredState:
    """The reverse of `encode_state`.

    Raises:
        ContentError: It is not what was written.
    """
    decoded = decode_json(content, source)
    head = convert(_Head, decoded, source)
    body = {key: decoded[key] for key in ("format", "generation", "models")}
    if head.sha256 != _sum(body):
        raise ContentError(
            f"{source}: sha256 is {head.sha256!r}, expected {_sum(body)}: the file was changed or "
            "damaged"
        )
    return convert(DesiredState, body, source)


class _Head(msgspec.Struct):
    """What the file says of itself."""

    format: Annotated[
        int, msgspec.Meta(ge=_FORMAT, le=_FORMAT, description=f"{_FORMAT}, the one known here")
    ]
    sha256: str
    generation: int
    models: dict[str, Any]


def _sum(body: dict[str, Any]) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    import hashlib  # as in `terms_digest`: not in a supervisor that finds no state

    return hashlib.sha256(canonical.encode()).hexdigest()


def _read(path: Path) -> DesiredState | None:
    try:
        content = read_bounded(path, _MAX_BYTES)
    except FileNotFoundError:
        return None
    return decode_state(content, str(path))
