"""Mutes: alerts of a model that nobody is told of until a time. What is watched goes on.

One process writes the file, any may read it. A mute ends by itself. While one covers an alert that
opens, its delivery is held; what is still open when no mute covers it any more is told then.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError, read_json
from penstock.monitoring.files.stamp import Stamp, stamp_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .alert import Alert

LOG = logging.getLogger("penstock.alerts")

#: In ``state_dir/monitor``.
MUTES_FILE: Final = "mutes.json"
#: At a time.
MAX_MUTES: Final = 100
#: Of the file, with as many mutes as there may be and the longest reasons.
_MAX_BYTES: Final = 8 << 20
#: The longest: who forgets a mute is told again after this.
MAX_SECONDS: Final = 30 * 86_400.0


class Mute(msgspec.Struct, frozen=True):
    """A mute: the alerts that are not told, and until when.

    Attributes:
        id: Names it; never used again.
        model: Name of the model.
        kind: Alerts whose kind begins with these words, such as ``drift``.
        version: Of this version; empty for all.
        since: Unix seconds.
        until: Unix seconds of its end.
        by: Name of the token that muted it.
        reason: Reason that was given.
        feature: Only alerts of this feature or field; empty for all.
    """

    id: str
    model: str
    kind: str
    version: str
    since: float
    until: float
    by: str
    reason: str
    feature: str = ""

    def covers(self, alert: Alert) -> bool:
        """True if the alert is of this model, kind and version, at any time."""
        of_kind = alert.kind == self.kind or alert.kind.startswith(f"{self.kind}.")
        return of_kind and alert.model == self.model and self.version in {"", alert.version}


class _File(msgspec.Struct):
    mutes: Annotated[tuple[Mute, ...], msgspec.Meta(max_length=MAX_MUTES)] = ()


class TooManyMutes(Exception):
    """There are as many mutes as there may be."""


def holding(mutes: Iterable[Mute], alert: Alert, now: float) -> Mute | None:
    """The mute that holds an alert longest; ``None`` if nothing does.

    An alert of several features is held while each of them is muted, so by the mute of a feature
    that ends first.

    Args:
        mutes: All of them, also those that are over.
        alert: The alert.
        now: Unix seconds.
    """
    found = [one for one in mutes if one.since <= now < one.until and one.covers(alert)]
    whole = _longest(one for one in found if not one.feature)
    parts = [
        _longest(one for one in found if one.feature and one.feature in names)
        for names in _features(alert)
    ]
    muted = [one for one in parts if one is not None]
    first = min(muted, key=_end) if muted and len(muted) == len(parts) else None
    return _longest(one for one in (whole, first) if one is not None)


def _features(alert: Alert) -> list[set[str]]:
    """The names of each feature of an alert; one that it does not name has none."""
    told = alert.evidence.get("features") or ()
    if not told:
        return [{alert.subject}]
    unnamed = max(0, alert.evidence.get("number", 0) - len(told))
    return [{one["feature"], one.get("name", "")} for one in told] + [set()] * unnamed


def _longest(mutes: Iterable[Mute]) -> Mute | None:
    return max(mutes, key=_end, default=None)


def _end(mute: Mute) -> float:
    return mute.until


class MutesFile:
    """Follows the file, and changes it. Threads of one process may change it.

    Args:
        path: Path of the file; made with the first mute.

    Attributes:
        path: Path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._seen: Stamp | None = None
        self._mutes: tuple[Mute, ...] = ()

    def current(self) -> tuple[Mute, ...]:
        """The mutes, read again if the file has changed; a damaged file mutes nothing."""
        with self._lock:
            return self._current()

    def _current(self) -> tuple[Mute, ...]:
        seen = stamp_of(self.path)
        if seen != self._seen:
            self._seen = seen
            self._mutes = () if seen is None else self._read()
        return self._mutes

    def add(self, mute: Mute) -> None:
        """Take one more; those that are over are forgotten.

        Raises:
            TooManyMutes: There is no room.
            OSError: The file cannot be written.
        """
        with self._lock:
            left = [one for one in self._current() if one.until > mute.since]
            if len(left) >= MAX_MUTES:
                raise TooManyMutes
            self._write([*left, mute])

    def remove(self, mute: Mute) -> None:
        """End one now.

        Raises:
            OSError: The file cannot be written.
        """
        with self._lock:
            self._write([one for one in self._current() if one.id != mute.id])

    def _read(self) -> tuple[Mute, ...]:
        try:
            return read_json(_File, read_bounded(self.path, _MAX_BYTES), str(self.path)).mutes
        except (OSError, ContentError) as error:
            LOG.error("nothing is muted: %s", error)  # noqa: TRY400  one line says it
            return ()

    def _write(self, mutes: list[Mute]) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self.path, msgspec.json.encode(_File(tuple(mutes))), 0o600)
