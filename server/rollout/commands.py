"""The commands of persons on rollouts. Pure: each returns the rollout after the command.

A person's command wins over the controller, with one exception: nobody can promote a rollout that
requires an approval before it has one.
"""

from __future__ import annotations

from dataclasses import replace

from penstock.server.errors import Conflict, Forbidden

from .observation import next_step
from .phase import FINAL, Event, Phase
from .rollout import Approval, Rollout
from .rollout_spec import Kind

#: Causes of a hold that `resume` accepts for the rest of the rollout.
_ACCEPTABLE = frozenset({"scores"})


def pause(rollout: Rollout, by: str, reason: str, now: float) -> Rollout:
    """Pause a rollout; shares stay as they are, and evidence may still abort it.

    Raises:
        Conflict: It is over, paused already, or still being prepared.
    """
    return _move(rollout, Event.PAUSE, by, reason or "paused", now)


def resume(rollout: Rollout, by: str, reason: str, now: float) -> Rollout:
    """Let a paused or held rollout go on in the step where it is.

    The reason of the hold counts as seen: a changed distribution of scores does not hold it again,
    and a deadline begins anew.

    Raises:
        Conflict: It is neither paused nor held.
    """
    after = _move(rollout, Event.RESUME, by, reason or "resumed", now)
    if rollout.cause in _ACCEPTABLE:
        after = replace(after, accepted=(*rollout.accepted, rollout.cause))
    if rollout.deadline_at and now >= rollout.deadline_at:
        after = replace(after, deadline_at=now + rollout.terms.deadline_seconds)
    return after


def approve(rollout: Rollout, by: str, digest: str, now: float) -> Rollout:
    """Approve the candidate; possible in every phase that is not final.

    Args:
        rollout: The rollout before the command.
        by: Name of the token that approves.
        digest: Digest of the version that the person has examined.
        now: Unix seconds.

    Raises:
        Conflict: It is over, or its candidate has another digest.
        Forbidden: The same token has requested the rollout.
    """
    if rollout.phase in FINAL:
        raise Conflict(f"rollout {rollout.id} is {rollout.phase}; there is nothing to approve")
    if by == rollout.requester:
        raise Forbidden(
            f"{by} started rollout {rollout.id} and cannot approve it; expected somebody else"
        )
    if digest != rollout.digest:
        raise Conflict(
            f"the candidate's digest is {rollout.digest}, you approved {digest or 'none'}; "
            "look again at what would be promoted"
        )
    return replace(rollout, approval=Approval(by, digest, now))


def promote(rollout: Rollout, by: str, reason: str, now: float) -> Rollout:
    """Make the candidate stable now, whatever step it is in; end the watch if it is stable.

    Raises:
        Conflict: It is a shadow, over, still being prepared, or lacks its approval.
    """
    if rollout.kind is Kind.SHADOW:
        raise Conflict(
            f"rollout {rollout.id} is a shadow, whose candidate serves nobody; start a canary or "
            "promote the version itself"
        )
    if not rollout.approved and not rollout.final:
        raise Conflict(
            f"rollout {rollout.id} requires the approval of its candidate {rollout.digest} by "
            f"another person than {rollout.requester}"
        )
    promoted = _move(rollout, Event.PROMOTE, by, reason or "promoted", now)
    watched = rollout.kind is Kind.CANARY and rollout.terms.watch_seconds > 0
    if not watched or rollout.phase is Phase.WATCHING:
        return promoted
    watching = _move(rollout, Event.PROMOTE_WATCHED, by, promoted.reason, now)
    return next_step(watching, rollout.terms.watched_percent)


def abort(rollout: Rollout, by: str, reason: str, now: float) -> Rollout:
    """Abort a rollout: the candidate gets no further requests.

    Raises:
        Conflict: It is over.
    """
    return _move(rollout, Event.ABORT, by, reason or "aborted", now)


def finish(rollout: Rollout, by: str, reason: str, now: float) -> Rollout:
    """End a shadow or an A/B comparison that has shown enough; stable stays what it is.

    Raises:
        Conflict: It is a canary, which is promoted or aborted, or it is over.
    """
    if rollout.kind is Kind.CANARY:
        raise Conflict(f"rollout {rollout.id} is a canary; promote or abort it")
    return _move(rollout, Event.FINISH, by, reason or "finished", now)


def _move(rollout: Rollout, event: Event, by: str, reason: str, now: float) -> Rollout:
    return rollout.move(event, now, reason, "operator", by)
