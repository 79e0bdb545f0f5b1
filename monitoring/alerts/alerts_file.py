"""The alerts file: who is told, read again when it changes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import msgspec

from penstock.monitoring.files.config_file import ConfigFileError, read_toml
from penstock.monitoring.files.decoding import convert
from penstock.monitoring.files.good_copy import keep_copy
from penstock.monitoring.files.stamp import Stamp, stamp_of

from .sink import MAX_SINKS, Sink, SinkTable, sink_of

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("penstock.alerts")

#: Always there: every alert is in the log.
LOG_SINK = Sink("log", template="log")


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The content of the alerts file.

    Attributes:
        sinks: Receivers by name; ``log`` is always one of them.
        source: Names this server in what is sent.
        owner: Person or team to ask, in messages.
        runbook_url: URL of the instructions, in messages.
    """

    sinks: dict[str, Sink] = field(default_factory=lambda: {"log": LOG_SINK})
    source: str = "penstock"
    owner: str = ""
    runbook_url: str = ""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The alerts file as it is written."""

    source: str = ""
    owner: str = ""
    runbook_url: str = ""
    sinks: Annotated[dict[str, SinkTable], msgspec.Meta(description="tables [sinks.NAME]")] = {}


def read_settings(path: Path, folder: Path | None = None) -> AlertSettings:
    """Read the file.

    Args:
        path: Path of the file.
        folder: Directory of the relative paths in it; by default its own.

    Raises:
        ValueError: It cannot be read, or something in it is not what was expected; the message
            names the key.
    """
    try:
        content = read_toml(path)
    except ConfigFileError as error:
        raise ValueError(f"{path}: {error}") from error
    found = convert(_File, content, str(path), noun="a table", error=ValueError)
    if len(found.sinks) >= MAX_SINKS:
        raise ValueError(f"{path}: {len(found.sinks)} sinks, expected fewer than {MAX_SINKS}")
    sinks = {"log": LOG_SINK}
    try:
        for name, table in found.sinks.items():
            sinks[name] = sink_of(name, table, folder or path.parent)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return AlertSettings(sinks, found.source or "penstock", found.owner, found.runbook_url)


class AlertsFile:
    """Follows the alerts file, and holds the settings in force.

    Args:
        path: Path of the file; without one there is only the log.
        good: Path of a copy of it, for a process that starts while the file cannot be used.

    Attributes:
        problem: Reason for which the settings in force are not those of the file; empty while they
            are.
    """

    def __init__(self, path: Path | None, good: Path | None = None) -> None:
        self.problem = ""
        self._path = path
        self._good = good
        self._known = False
        self._looked = False
        self._seen: Stamp | None = None
        self._settings = AlertSettings()

    def current(self) -> AlertSettings:
        """The settings, read again if the file has changed; a bad file leaves them as they were."""
        if self._path is None:
            return self._settings
        seen = stamp_of(self._path)
        if seen != self._seen or not self._looked:
            self._seen, self._looked = seen, True
            self._read(self._path)
        return self._settings

    def _read(self, path: Path) -> None:
        try:
            self._settings = read_settings(path)
        except ValueError as error:
            before = self._known or self._recall(path.parent)
            then = "the one before it holds" if before else "alerts are in the log only"
            self.problem = f"the alerts file is not used, {then}: {error}"
            LOG.error("%s", self.problem)  # noqa: TRY400  one line says it
            return
        self._known, self.problem = True, ""
        if self._good is not None:
            keep_copy(path, self._good)

    def _recall(self, folder: Path) -> bool:
        """Take over the settings that an earlier incarnation has understood last."""
        if self._good is None:
            return False
        try:
            self._settings = read_settings(self._good, folder)
        except ValueError:
            return False
        self._known = True
        return True
