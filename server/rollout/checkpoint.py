"""Checkpoints of rollouts: counts since the last move, on disk beside the desired state.

STATE/rollouts/<id>.json         the rollout with its newest counts
STATE/rollouts/<id>.looks.json   the history, for the report

The desired state says which phase and step a rollout is in. A checkpoint adds only counts
to that. A checkpoint of another phase or step is old; an unreadable one is ignored.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from penstock.monitoring.files.atomic_file import replace_file

from .history import HistoryEntry
from .record import RecordError
from .rollout import Rollout, Step
from .worst_units import UnitTable

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("penstock.rollout")

DIRECTORY: Final = "rollouts"
#: Rollouts whose files are kept.
KEEP: Final = 50
_MAX_BYTES: Final = 4 << 20
_HISTORY: Final = ".looks.json"


class Checkpoints:
    """Reads and writes the checkpoint files of all rollouts. Blocking.

    Args:
        state_dir: State directory of the server.
    """

    def __init__(self, state_dir: Path) -> None:
        self.directory = state_dir / DIRECTORY

    def newest(self, recorded: Rollout) -> Rollout:
        """The rollout of the desired state, with what was counted since it was written."""
        content = self._read(f"{recorded.id}.json")
        if content is None:
            return recorded
        try:
            saved = Rollout.from_json(content)
        except RecordError as error:
            LOG.warning("the checkpoint of rollout %s cannot be read: %s", recorded.id, error)
            return recorded
        same = skeleton(saved) == skeleton(recorded)
        return saved if same and saved.seen_at >= recorded.seen_at else recorded

    def history(self, rollout_id: str) -> tuple[HistoryEntry, ...]:
        """The history of a rollout; empty if the file is lost."""
        content = self._read(f"{rollout_id}{_HISTORY}")
        try:
            return tuple(HistoryEntry.from_list(one) for one in (content or {}).get("looks", ()))
        except (AttributeError, TypeError, ValueError):
            return ()

    def save(self, rollout: Rollout) -> None:
        """Write the counts in place of older ones, atomically.

        Raises:
            OSError: The file cannot be written; the old counts are still there.
        """
        self._write(f"{rollout.id}.json", rollout.to_json())

    def save_history(self, rollout_id: str, history: tuple[HistoryEntry, ...]) -> None:
        """Write the history of a rollout.

        Raises:
            OSError: The file cannot be written.
        """
        self._write(f"{rollout_id}{_HISTORY}", {"looks": [one.to_list() for one in history]})

    def prune(self) -> None:
        """Remove the files of all but the last rollouts."""
        try:
            stamped = [(path.stat().st_mtime, path) for path in self.directory.glob("*-*.json")]
        except OSError:
            return
        latest: dict[str, float] = {}
        for when, path in stamped:
            latest[_owner(path)] = max(when, latest.get(_owner(path), 0.0))
        kept = set(sorted(latest, key=lambda name: latest[name])[-KEEP:])
        for _, path in stamped:
            if _owner(path) not in kept:
                path.unlink(missing_ok=True)

    def _read(self, name: str) -> Any:
        try:
            with (self.directory / quote(name, safe="")).open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
            return json.loads(content) if len(content) <= _MAX_BYTES else None
        except (OSError, ValueError):
            return None

    def _write(self, name: str, content: Any) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        replace_file(self.directory / quote(name, safe=""), json.dumps(content).encode(), 0o600)


def _owner(path: Path) -> str:
    """The rollout that a file belongs to; there are files of other kinds, too."""
    name = path.name.removesuffix(".json")
    return name.removesuffix(".looks").removesuffix(".shadow")


def skeleton(rollout: Rollout) -> Rollout:
    """The rollout without its counts: it stays equal until the rollout moves."""
    steps = tuple(Step(one.percent) for one in rollout.steps)
    counted = replace(rollout, base=None, units=UnitTable())
    return replace(counted, steps=steps, seen_at=0.0, saved_at=0.0)
