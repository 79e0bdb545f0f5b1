"""Alarms from outside that forbid a rollout to go on. Values, and one small file.

An alarm is about a model, and about one of its versions or all of them. It stands until the sender
that raised it says that it is over, or is not heard of for `MAX_AGE_SECONDS`: Alertmanager repeats
what still fires, by default every four hours.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError, read_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

LOG = logging.getLogger("penstock.rollout")

FILE: Final = "vetoes.json"
MAX_AGE_SECONDS: Final = 86_400.0
#: Alarms that are remembered; the oldest go first.
MAX_ALARMS: Final = 256
_MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm, or its end.

    Attributes:
        key: The same when it fires, is repeated, and is over.
        name: For people.
        model: Name of the model that it is about.
        version: The version that it is about; empty for all versions.
        firing: Whether it stands; else it is over.
        at: When it was last heard of, Unix seconds.
    """

    key: str
    name: str
    model: str
    version: str = ""
    firing: bool = True
    at: float = 0.0


class _File(msgspec.Struct):
    alarms: list[Alarm]


class Vetoes:
    """The alarms that stand. Kept on disk, so that they outlive the process.

    Args:
        directory: Where their file is.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._lock = threading.Lock()
        self._alarms = self._read()

    def hear(self, alarms: Iterable[Alarm]) -> bool:
        """Take alarms and ends of alarms; returns whether anything changed. Blocking.

        Raises:
            OSError: They could not be kept; they hold until the process ends.
        """
        with self._lock:
            after = dict(self._alarms)
            for one in alarms:
                after.pop(one.key, None)  # what is repeated becomes the youngest
                if one.firing:
                    after[one.key] = one
            after = dict(list(after.items())[-MAX_ALARMS:])
            if after == self._alarms:
                return False
            self._alarms = after
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            content = {"alarms": [asdict(one) for one in after.values()]}
            replace_file(self._path, json.dumps(content).encode(), 0o600)
            return True

    def against(self, model: str, version: int, now: float) -> tuple[str, ...]:
        """Names of the alarms that stand against a version, each once, in order."""
        return tuple(
            sorted(
                {
                    one.name
                    for one in self._alarms.values()
                    if one.model == model
                    and one.version in {"", str(version)}
                    and now - one.at <= MAX_AGE_SECONDS
                }
            )
        )

    def _read(self) -> dict[str, Alarm]:
        try:
            content = read_bounded(self._path, _MAX_BYTES)
            alarms = read_json(_File, content, str(self._path), closed=True).alarms
        except FileNotFoundError:
            return {}
        except (OSError, ContentError) as error:
            LOG.warning("the vetoes on disk cannot be read and are forgotten: %s", error)
            return {}
        return {one.key: one for one in alarms}
