"""A command of an operator, and its record in the audit log. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.server.desired_state.audit_record import AuditEvent

if TYPE_CHECKING:
    from penstock.server.desired_state.audit_record import AuditRecord
    from penstock.server.desired_state.state import DesiredState


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a person or program on a model.

    Attributes:
        action: For the record.
        model: Name of the model.
        actor: Name of the token that commands.
        reason: The reason, in the words of the actor.
        generation: Generation of the desired state that the actor saw; ``None`` does not mind.
    """

    action: str
    model: str
    actor: str
    reason: str = ""
    generation: int | None = None


def event_of(
    command: Command, before: DesiredState, after: DesiredState, version: int | None, digest: str
) -> AuditEvent:
    """The event of a command: which names it moves, and what the version is.

    Args:
        command: The command.
        before: The desired state as it is.
        after: As it is to be.
        version: That the command is about, if any.
        digest: Digest of that version, if it is known.
    """
    old, new = before.model(command.model).aliases, after.model(command.model).aliases
    moved = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    evidence: dict[str, Any] = {} if version is None else {"version": version}
    if digest:
        evidence["digest"] = digest
    if version in after.model(command.model).accepted - before.model(command.model).accepted:
        evidence["accepted"] = True
    return AuditEvent(
        action=command.action,
        actor=command.actor,
        model=command.model,
        before={name: old.get(name) for name in moved},
        after={name: new.get(name) for name in moved},
        reason=command.reason,
        evidence=evidence,
        generation=after.generation,
    )


def describe(record: AuditRecord | None) -> str:
    """A change in a few words, for a caller whose command came too late."""
    if record is None:
        return "somebody changed it"
    event = record.event
    moved = dict(event.after or {}).items()
    what = ", ".join(f"{name} to {version}" for name, version in moved) or str(
        event.evidence.get("version", "")
    )
    return (
        " ".join(f"{event.actor}: {event.action} {event.model} {what}".split()) + f", {record.time}"
    )
