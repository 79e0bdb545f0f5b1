"""The rollout in what is wanted of a model: starting it, moving it, ending it. Pure.

The record of a rollout stays when it is over, until the next one begins: who looks finds out what
became of it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from penstock.server.errors import Conflict
from penstock.server.rollout import commands
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.record import RecordError
from penstock.server.rollout.rollout import Rollout
from penstock.server.rollout.rollout_spec import Kind

from . import state as change
from .audit_record import AuditEvent
from .state import STABLE, DesiredState

if TYPE_CHECKING:
    from collections.abc import Collection

    from penstock.server.rollout.evidence import Evidence

    from .state import ModelState

#: What every action of a rollout begins with.
ROLLOUT: Final = "rollout."


def recorded(now: ModelState) -> Rollout | None:
    """The last rollout of a model, in whatever phase; ``None`` if it cannot be read, too."""
    if not now.rollout:
        return None
    try:
        return Rollout.from_json(now.rollout)
    except RecordError:
        return None


def in_progress(now: ModelState) -> Rollout | None:
    """The rollout that is not over, if there is one."""
    rollout = recorded(now)
    return None if rollout is None or rollout.final else rollout


def put(state: DesiredState, rollout: Rollout) -> DesiredState:
    """The same state, one generation on, with the rollout as it is now."""
    now = state.model(rollout.model)
    tried = max(now.tried, rollout.candidate)
    after = replace(now, rollout=rollout.to_json(), tried=tried)
    return DesiredState(state.generation + 1, {**state.models, rollout.model: after})


def start(state: DesiredState, rollout: Rollout, serving: Collection[int]) -> DesiredState:
    """Begin a rollout. What answered until now is stable from now on, if nobody said so before.

    The watch of an earlier candidate, which is stable by now, ends with it.

    Raises:
        Conflict: One is in progress, or its stable version is not what answers.
    """
    now = state.model(rollout.model)
    running = in_progress(now)
    if running is not None and running.phase is not Phase.WATCHING:
        raise Conflict(
            f"rollout {running.id} of model {rollout.model!r} is {running.phase}: version "
            f"{running.candidate} on trial; abort or finish it first"
        )
    after = state
    if now.stable is None:
        after = change.promote(state, rollout.model, rollout.stable, serving)
    elif now.stable != rollout.stable:
        raise Conflict(f"{STABLE} of model {rollout.model!r} is version {now.stable} by now")
    model = after.model(rollout.model)
    model = replace(model, unloaded=model.unloaded - {rollout.candidate})
    after = replace(after, models={**after.models, rollout.model: model})
    return replace(put(after, rollout), generation=state.generation + 1)


def move(state: DesiredState, rollout: Rollout, serving: Collection[int]) -> DesiredState:
    """The state with the rollout as it is now; a candidate that has passed becomes stable.

    Raises:
        Conflict: It has passed, and some worker does not have it loaded.
    """
    after = state
    stable = state.model(rollout.model).stable
    if rollout.phase in {Phase.WATCHING, Phase.PROMOTED} and stable != rollout.candidate:
        after = change.promote(state, rollout.model, rollout.candidate, serving)
    elif rollout.phase is Phase.ABORTED and _is_watched(state, rollout):
        after = _take_back(state, rollout, serving)
    return replace(put(after, rollout), generation=state.generation + 1)


def _is_watched(state: DesiredState, rollout: Rollout) -> bool:
    """Whether its candidate was made stable by it, and is watched."""
    running = in_progress(state.model(rollout.model))
    return running is not None and running.phase is Phase.WATCHING and running.id == rollout.id


def _take_back(state: DesiredState, rollout: Rollout, serving: Collection[int]) -> DesiredState:
    """What was stable before the rollout is stable again."""
    now = state.model(rollout.model)
    if now.stable != rollout.candidate:
        return state
    if now.former[-1:] == (rollout.stable,):
        return change.rollback(state, rollout.model, serving)
    return change.promote(state, rollout.model, rollout.stable, serving)


def overrule(
    state: DesiredState, model: str, version: int | None, by: str, now: float
) -> DesiredState:
    """End the rollout in progress because a person moves ``stable``; the generation stays.

    Args:
        state: The present desired state.
        model: Name of the model.
        version: That becomes stable by command; ``None`` for a rollback.
        by: Name of the token that commands it.
        now: Unix seconds.

    Raises:
        Conflict: It is the candidate, and lacks an approval that the rollout requires.
    """
    rollout = in_progress(state.model(model))
    if rollout is None:
        return state
    reason = "rolled back by command" if version is None else f"version {version} was promoted"
    if version == rollout.candidate:
        check_approved(rollout)
    if version == rollout.candidate and rollout.kind is Kind.SHADOW:
        after = commands.finish(rollout, by, reason, now)
    elif version == rollout.candidate and rollout.phase is not Phase.PREPARING:
        after = commands.promote(rollout, by, reason, now)
    else:
        after = commands.abort(rollout, by, reason, now)
    return replace(put(state, after), generation=state.generation)


def check_approved(rollout: Rollout) -> None:
    """Whether a person may make the candidate stable.

    Raises:
        Conflict: It requires an approval that it does not have.
    """
    if not rollout.approved:
        raise Conflict(
            f"rollout {rollout.id} requires that another token than {rollout.requester!r} approves "
            f"its candidate {rollout.digest}; abort it to go on without"
        )


def check_unload(state: DesiredState, model: str, version: int) -> None:
    """Whether a version may be unloaded.

    Raises:
        Conflict: It is on trial.
    """
    rollout = in_progress(state.model(model))
    if rollout is not None and version == rollout.candidate:
        raise Conflict(
            f"version {version} of model {model!r} is on trial in rollout {rollout.id}; "
            "abort that first"
        )


def event_of(
    action: str,
    actor: str,
    before: DesiredState,
    after: DesiredState,
    rollout: Rollout,
    reason: str = "",
    evidence: Evidence | None = None,
) -> AuditEvent:
    """What goes on record when a rollout moves.

    Args:
        action: Name of a `penstock.server.rollout.phase.Event`, or ``start``.
        actor: Name of the token or part of the server that moves it.
        before: The desired state as it is.
        after: As it is to be.
        rollout: As it is to be.
        reason: In the actor's words; by default that of the rollout.
        evidence: Against the candidate, of a decision that has computed it already.
    """
    model = rollout.model
    was = recorded(before.model(model))
    if was is not None and was.id != rollout.id:
        was = None
    old: dict[str, Any] = _standing(was)
    new: dict[str, Any] = _standing(rollout)
    stable = before.model(model).stable, after.model(model).stable
    if stable[0] != stable[1]:
        old[STABLE], new[STABLE] = stable
    return AuditEvent(
        action=f"{ROLLOUT}{action}",
        actor=actor,
        model=model,
        before=old,
        after=new,
        reason=reason or rollout.reason,
        evidence={
            "version": rollout.candidate,
            "digest": rollout.digest,
            "rollout": evidence_of(rollout, evidence),
        },
        generation=after.generation,
    )


def evidence_of(rollout: Rollout, evidence: Evidence | None = None) -> dict[str, Any]:
    """What a decision rests on: exact counts by step, E values, and the terms' digest.

    Args:
        rollout: With its newest counts.
        evidence: By these counts, where it is known; else it is computed.
    """
    if evidence is None:
        # A supervisor reads the state and plans once; it stays small without.
        from penstock.server.rollout.evidence import evidence_against

        evidence = evidence_against(rollout)
    return {
        "id": rollout.id,
        "kind": str(rollout.kind),
        "candidate": rollout.candidate,
        "stable": rollout.stable,
        "phase": str(rollout.phase),
        "cause": rollout.cause,
        "percent": rollout.percent,
        "steps": [
            {
                "percent": step.percent,
                "observed_seconds": round(step.observed_seconds, 3),
                **{
                    arm: {name: count for name, count in figures.items() if count}
                    for arm, figures in asdict(step.counts).items()
                    if arm != "scores"
                },
            }
            for step in rollout.steps
        ],
        "e_values": {**evidence.parts},
        "e_value": evidence.total,
        "aborts_at": 1.0 / rollout.terms.alpha,
        "terms": terms_digest(rollout),
    }


def terms_digest(rollout: Rollout) -> str:
    """SHA-256 of the terms, in hex."""
    import hashlib  # OpenSSL takes 4 MiB, which the supervisor does without

    canonical = json.dumps(asdict(rollout.terms), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _standing(rollout: Rollout | None) -> dict[str, Any]:
    """Phase and share; never a whole number, which the log takes for a version."""
    if rollout is None:
        return {}
    return {"phase": str(rollout.phase), "percent": float(rollout.percent)}
