"""The configuration in force, and what SIGHUP changes of it. For the supervisor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.atomic_file import replace_file
from penstock.server.config.config import OPTIONS
from penstock.server.files.config_error import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.server.config.config import ServerConfig


#: Options that running processes take over (`live_options`); every other one needs a restart.
LIVE: Final = ("log_level", "access_log")


class InForce:
    """The configuration in force: processes read the file at their start, and `LIVE` at a change.

    Args:
        config: At the start.
        path: Path of the file that the processes read.
    """

    def __init__(self, config: ServerConfig, path: Path) -> None:
        self._config = config
        self._path = path

    def renew(self, read: Callable[[], ServerConfig]) -> str:
        """Put into force what can change while the server runs; returns what came of it, in words.

        Args:
            read: Reads the configuration again.
        """
        try:
            now = read()
        except ConfigError as error:
            return f"the configuration cannot be used, going on with the one before: {error}"
        changed = [
            option.name
            for option in OPTIONS
            if option.name != "state_dir"
            and getattr(now, option.name) != getattr(self._config, option.name)
        ]
        told = ["the configuration was read again"]
        live = [name for name in changed if name in LIVE]
        if live:
            told.append(self._apply(now, live))
        if waiting := [name for name in changed if name not in LIVE]:
            told.append(f"in force only after a restart: {', '.join(waiting)}")
        if not changed:
            told[0] += ", no option has changed"
        told.append("certificate and tokens are followed as their files change")
        return "; ".join(told)

    def _apply(self, now: ServerConfig, names: list[str]) -> str:
        after = replace(self._config, **{name: getattr(now, name) for name in names})
        try:
            replace_file(self._path, after.to_json().encode(), synced=False)
        except OSError as error:
            return f"{self._path} cannot be written, nothing has changed: {error}"
        self._config = after
        return "in force now: " + ", ".join(f"{name} = {getattr(after, name)}" for name in names)
