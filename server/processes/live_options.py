"""Options that a running process takes over when the supervisor was asked to read them again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from penstock.monitoring.files.stamp import Stamp, stamp_of
from penstock.server.config.config import ServerConfig
from penstock.server.files.config_error import ConfigError

from .in_force import LIVE
from .logs import set_levels

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("penstock.processes")


class LiveOptions:
    """Follows the configuration in the run directory.

    Args:
        path: Path of the file.
        config: As this process read it when it started; the file may be another one by now.
    """

    def __init__(self, path: Path, config: ServerConfig) -> None:
        self._path = path
        self._values = _live(config)
        self._stamp: Stamp | None = None

    def refresh(self) -> None:
        """Take over what has changed; a file that cannot be read changes nothing."""
        stamp = stamp_of(self._path)
        if stamp in (self._stamp, None):
            return
        self._stamp = stamp
        try:
            config = ServerConfig.from_json(self._path.read_text())
        except (OSError, ValueError, ConfigError) as error:
            LOG.error("%s cannot be read again: %s", self._path, error)  # noqa: TRY400
            return
        if _live(config) != self._values:
            self._values = _live(config)
            set_levels(config)
            told = ", ".join(f"{name} = {value}" for name, value in self._values.items())
            LOG.warning("in force now: %s", told)


def _live(config: ServerConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in LIVE}
