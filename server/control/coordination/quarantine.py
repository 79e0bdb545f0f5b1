"""The quarantine: versions out of service because processes died over them, kept over restarts.

A version is known by the digest of its files: other files under its number are another version.
A version without a known digest stays in quarantine until the server stops.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.server.processes.watchdog import Key

LOG = logging.getLogger("penstock.quarantine")

FILE: Final = "quarantine.json"
#: Most entries; the oldest are removed first.
_MAX_ENTRIES: Final = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One version that is out of service.

    Attributes:
        model: Name of the model.
        version: Number of the version.
        digest: Digest of its files; empty if it is not known.
        reason: The reason, for operators.
        at: Time of the quarantine, Unix seconds.
    """

    model: str
    version: int
    digest: str
    reason: str
    at: float


class Quarantine:
    """The versions that are out of service.

    Args:
        path: Path of the file that keeps them; ``None`` keeps them in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._entries = {} if path is None else _read(path)

    def reason(self, model: str, version: int, digest: str) -> str:
        """The reason why a version is out of service; empty if it is not."""
        entry = self._entries.get((model, version))
        return entry.reason if entry is not None and entry.digest == digest else ""

    def add(self, entry: Entry) -> bool:
        """Take a version out of service; returns whether it was in. Blocks on the disk."""
        key = entry.model, entry.version
        before = self._entries.get(key)
        if before is not None and before.digest == entry.digest:
            return False
        self._entries.pop(key, None)
        self._entries[key] = entry
        while len(self._entries) > _MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._write()
        return True

    def release(self, model: str, version: int) -> None:
        """Remove a version from quarantine, for an operator. Blocks on the disk."""
        if self._entries.pop((model, version), None) is not None:
            self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        content = json.dumps([asdict(entry) for entry in self._entries.values()]).encode()
        try:
            replace_file(self._path, content, 0o600)
        except OSError as error:  # the quarantine is in force even then
            LOG.error("%s cannot be written: %s", self._path, error)  # noqa: TRY400  one line says it


def newly_condemned(
    verdicts: Mapping[Key, str], digests: Mapping[tuple[str, int], str], now: float
) -> list[Entry]:
    """Entries for what `watchdog.condemned` found. Pure.

    Args:
        verdicts: The reason, by model and version.
        digests: Digests of the files, by model and version; empty if unknown.
        now: Unix seconds.
    """
    return [
        Entry(model, int(version), digests.get((model, int(version)), ""), reason, now)
        for (model, version), reason in verdicts.items()
        if version.isdecimal()
    ]


def _read(path: Path) -> dict[tuple[str, int], Entry]:
    try:
        entries = read_json(list[Entry], read_bounded(path), str(path))
        return {(one.model, one.version): one for one in entries[-_MAX_ENTRIES:]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        LOG.warning("%s is damaged, nothing is kept out of service: %s", path, error)
        return {}
