"""The record of a shadow on disk: whether it runs, why not, and its tally.

``state_dir/rollouts/<rollout>.shadow.json``, written by the shadow process alone. Control decides
on `phase` and `hard_failure`, the report shows the rest.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from penstock.monitoring.files.atomic_file import replace_file

from .limits import HardFailure
from .tally import Tally

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("penstock.shadow")

DIRECTORY: Final = "rollouts"

#: Phases of a shadow.
LOADING: Final = "loading"
RUNNING: Final = "running"
TRIPPED: Final = "tripped"
ENDED: Final = "ended"


@dataclass(slots=True)
class Record:
    """One rollout's shadow.

    Attributes:
        rollout: Id of the rollout.
        model: Name of the model.
        primary: The version that answers.
        candidate: The version that computes the copies.
        phase: ``loading``, ``running``, ``tripped`` or ``ended``.
        failures: Short runs of its runner process in a row.
        hard_failure: Reason for which the candidate is not run any more; ``None`` while it is.
        tally: The tally of the comparisons.
        updated: Unix seconds of the last change.
    """

    rollout: str
    model: str
    primary: int | None
    candidate: int
    phase: str = LOADING
    failures: int = 0
    hard_failure: HardFailure | None = None
    tally: Tally = field(default_factory=Tally)
    updated: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        return {
            "rollout": self.rollout,
            "model": self.model,
            "primary": self.primary,
            "candidate": self.candidate,
            "phase": self.phase,
            "failures": self.failures,
            "trip": None if self.hard_failure is None else asdict(self.hard_failure),
            "updated": self.updated,
            "tally": self.tally.to_json(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Record:
        """The reverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: It is not what was written.
        """
        hard_failure = content["trip"]
        return cls(
            **{name: value for name, value in content.items() if name != "trip"}
            | {
                "hard_failure": None if hard_failure is None else HardFailure(**hard_failure),
                "tally": Tally.from_json(content["tally"]),
            }
        )


def record_path(state_dir: Path, rollout: str) -> Path:
    """The path of the record of a rollout's shadow."""
    return state_dir / DIRECTORY / f"{quote(rollout, safe='')}.shadow.json"


def read_record(state_dir: Path, rollout: str) -> Record | None:
    """The record of a rollout's shadow; ``None`` if there is none that can be read."""
    path = record_path(state_dir, rollout)
    try:
        return Record.from_json(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        LOG.warning("%s cannot be used: %r", path, error)
        return None


def standing(state_dir: Path, rollout: str) -> tuple[bool, tuple[str, ...]]:
    """The standing of a rollout's shadow: whether it runs, and why it never will again, if so."""
    record = read_record(state_dir, rollout)
    if record is None:
        return False, ()
    hard_failure = record.hard_failure
    return record.phase == RUNNING, () if hard_failure is None else (
        f"{hard_failure.reason}: {hard_failure.detail}",
    )


def write_record(state_dir: Path, record: Record, content: bytes) -> None:
    """Put `content`, made of the record, in its place; a disk that refuses is only logged."""
    path = record_path(state_dir, record.rollout)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        replace_file(path, content, mode=0o600)
    except OSError as error:
        LOG.warning("%s cannot be written: %s", path, error)
