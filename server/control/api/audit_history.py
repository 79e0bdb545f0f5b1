"""The history in the audit log: who set a version, and what served at a time. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from penstock.server.desired_state.rebuild import ABANDONED
from penstock.server.desired_state.state import STABLE
from penstock.server.desired_state.store import ACTOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from penstock.server.desired_state.audit_record import AuditRecord

#: How a rollout's record ends that the controller gave up by itself.
_ABORT: Final = "rollout.abort"

#: Name of the version that answers where no `STABLE` was set.
DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Move:
    """A name of a model got another version.

    Attributes:
        model: Name of the model.
        name: An alias, or `DEFAULT`.
        version: ``None`` if the name is gone.
        record: Record of the audit log.
    """

    model: str
    name: str
    version: int | None
    record: AuditRecord


def in_force(records: Iterable[AuditRecord]) -> Iterator[AuditRecord]:
    """The records of what took effect, oldest first."""
    waiting: AuditRecord | None = None
    for record in records:
        if record.event.action == ABANDONED:
            if waiting is not None and waiting.seq == record.event.before:
                waiting = None
            continue
        if waiting is not None:
            yield waiting
        waiting = record
    if waiting is not None:
        yield waiting


def moves(record: AuditRecord) -> list[Move]:
    """The names that a record moved."""
    event = record.event
    after = event.after if isinstance(event.after, Mapping) else {}
    if event.action == DEFAULT:
        return [Move(model, DEFAULT, version, record) for model, version in after.items()]
    return [
        Move(event.model, name, version, record)
        for name, version in after.items()
        if version is None or type(version) is int
    ]


def concerns(record: AuditRecord, model: str) -> bool:
    """True if a record is about this model."""
    return record.event.model == model or any(one.model == model for one in moves(record))


def as_json(record: AuditRecord, model: str) -> dict[str, Any]:
    """A record for people, as far as it is about this model."""
    event = record.event
    before, after = event.before, event.after
    if event.action == DEFAULT:
        before, after = ({DEFAULT: one.get(model)} for one in (before, after))
    return {
        "seq": record.seq,
        "time": record.time,
        "action": event.action,
        "actor": event.actor,
        "before": before,
        "after": after,
        "reason": event.reason,
        "generation": event.generation,
        "evidence": dict(event.evidence) if event.model else {},
    }


def production_at(records: Iterable[AuditRecord], model: str, time: str) -> Move | None:
    """The version that answered requests without a version at a time.

    Args:
        records: Those in force, oldest first.
        model: Name of the model.
        time: As the log has it.
    """
    stable: Move | None = None
    default: Move | None = None
    for record in records:
        if record.time > time:
            break
        for move in moves(record):
            if move.model == model and move.name == STABLE:
                stable = move
            elif move.model == model and move.name == DEFAULT:
                default = move
    found = stable or default
    return found if found is not None and found.version is not None else None


class AuditHistory:
    """The last move of every name; kept up to date by being told each record."""

    def __init__(self) -> None:
        self.last: AuditRecord | None = None
        #: By model, its last record that an operator or a rollout made.
        self._last_of: dict[str, AuditRecord] = {}
        #: By model, what answered by itself before the version that does now.
        self._former_default: dict[str, int] = {}
        self._latest: dict[tuple[str, str], Move] = {}
        self._undo: dict[tuple[str, str], Move | None] = {}

    def add(self, record: AuditRecord) -> None:
        """Take a record, in the order of the log."""
        if record.event.action == ABANDONED:
            for key, before in self._undo.items():
                self._latest.pop(key, None)
                if before is not None:
                    self._latest[key] = before
            self._undo = {}
            return
        self.last = record
        if record.event.model:
            self._last_of[record.event.model] = record
        found = moves(record)
        for one in found:
            before = self.move(one.model, DEFAULT)
            if one.name == DEFAULT and before is not None and before.version != one.version:
                assert before.version is not None
                self._former_default[one.model] = before.version
        self._undo = {
            (one.model, one.name): self._latest.get((one.model, one.name)) for one in found
        }
        self._latest |= {(one.model, one.name): one for one in found}

    def former_default(self, model: str) -> int | None:
        """The version that answered before the present one, if it is known."""
        return self._former_default.get(model)

    def aborted_by_itself(self, model: str) -> AuditRecord | None:
        """The record of a rollout that ended without its candidate and without a command.

        ``None`` if anything else was done to the model since.
        """
        record = self._last_of.get(model)
        if record is None or record.event.actor != ACTOR:
            return None
        return record if record.event.action == _ABORT else None

    def move(self, model: str, name: str) -> Move | None:
        """The last move of a name, if it has a version."""
        found = self._latest.get((model, name))
        return found if found is not None and found.version is not None else None
