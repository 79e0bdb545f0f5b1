"""The desired state from the audit log, for a server whose state files are gone or damaged. Pure.

The log names every alias that moved and every version that was loaded or unloaded by command. What
it does not hold is a rollout in progress: its candidate gets no traffic from a rebuilt state, and
the stable version that the log names answers everybody.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from .approval import added, of_record
from .state import MAX_HISTORY, STABLE, DesiredState, ModelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .audit_record import AuditEvent, AuditRecord

#: Action of the record that takes another one back.
ABANDONED: Final = "abandoned"
_ROLLOUT: Final = "rollout."


def rebuild(base: DesiredState, records: Sequence[AuditRecord]) -> DesiredState:
    """The state after these records.

    Args:
        base: The last state that is known; records of its generation or before are in it already.
        records: Records of the log, oldest first; those that cannot be read are left out.
    """
    abandoned = {
        one.event.before for one in records if one.event.action == ABANDONED
    }  # sequence numbers
    models = dict(base.models)
    generation = base.generation
    for record in records:
        event = record.event
        if event.generation <= base.generation or record.seq in abandoned:
            continue
        generation = max(generation, event.generation)
        if event.model:
            models[event.model] = _after(models.get(event.model, ModelState()), event)
    return DesiredState(generation, models)


def _after(now: ModelState, event: AuditEvent) -> ModelState:
    moved = _versions(event.after, _gone(event))
    if event.action.startswith(_ROLLOUT):
        # A rollout's record tells its phase and share beside the alias that it moves.
        moved = [(name, version) for name, version in moved if name == STABLE]
        now = replace(now, rollout={})
    aliases, former = dict(now.aliases), now.former
    for name, version in moved:
        if name == STABLE and event.action == "rollback":
            former = former[:-1]
        elif name == STABLE and aliases.get(STABLE) not in {None, version}:
            former = (*former, aliases[STABLE])[-MAX_HISTORY:]
        if version is None:
            aliases.pop(name, None)
        else:
            aliases[name] = version
    tried = max(now.tried, _tried(event, aliases.get(STABLE)))
    now = replace(now, aliases=aliases, former=former, tried=tried)
    approval = of_record(event.action, event.actor, event.evidence)
    if approval is not None:
        return replace(now, approvals=added(now.approvals, approval))
    version = event.evidence.get("version")
    if type(version) is not int:
        return now
    if event.action == "load":
        accepted = now.accepted | {version} if event.evidence.get("accepted") else now.accepted
        loaded, unloaded = now.loaded | {version}, now.unloaded - {version}
        return replace(now, loaded=loaded, unloaded=unloaded, accepted=accepted)
    if event.action == "unload":
        loaded, unloaded = now.loaded - {version}, now.unloaded | {version}
        return replace(now, loaded=loaded, unloaded=unloaded, accepted=now.accepted - {version})
    return replace(now, unloaded=now.unloaded - {version})


def _tried(event: AuditEvent, stable: int | None) -> int:
    """The version that is stable or on trial after a record; the higher of both."""
    candidate = event.evidence.get("version") if event.action.startswith(_ROLLOUT) else None
    return max(candidate if type(candidate) is int else 0, stable or 0)


def _gone(event: AuditEvent) -> Iterable[str]:
    return event.before if isinstance(event.before, dict) else ()


def _versions(after: Any, before: Iterable[str]) -> list[tuple[str, int | None]]:
    """Aliases and where they point to; ``None`` for those that were removed."""
    if not isinstance(after, dict):
        return []
    names = {**dict.fromkeys(before), **after}
    return [
        (name, version)
        for name, version in names.items()
        if version is None or type(version) is int
    ]
