"""The phases of a rollout, and the only moves between them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from penstock.server.errors import Conflict


class Phase(StrEnum):
    """The phase of a rollout."""

    #: The candidate is being loaded; it serves nothing yet.
    PREPARING = "preparing"
    #: The candidate has its share of the present step, and evidence is gathered.
    PROGRESSING = "progressing"
    #: The controller goes no further by itself; shares stay as they are until a person decides.
    HELD = "held"
    #: A person stopped it for now; shares stay as they are.
    PAUSED = "paused"
    #: All steps are done; an approval or a person's promotion is missing.
    AWAITING_PROMOTION = "awaiting_promotion"
    #: The candidate is stable now, and is still compared with the version before, which keeps a
    #: small share.
    WATCHING = "watching"
    #: The candidate is stable now.
    PROMOTED = "promoted"
    #: The candidate has no share any more; stable serves all requests again.
    ABORTED = "aborted"
    #: A comparison came to its end; stable serves all requests again.
    FINISHED = "finished"


class Event(StrEnum):
    """The events that move a rollout from one phase to another."""

    #: Every process that needs the candidate has it ready.
    READY = "ready"
    #: A step is done and another one follows.
    ADVANCE = "advance"
    #: The last step is done; a person is needed.
    COMPLETE = "complete"
    #: The last step is done and nothing is missing.
    SUCCEED = "succeed"
    #: The candidate becomes stable, and is watched from now on.
    WATCH = "watch"
    #: Something a person should look at.
    HOLD = "hold"
    #: Evidence, a trip or a person against the candidate.
    ABORT = "abort"
    #: A person, or enough evidence for agreement, ends a comparison.
    FINISH = "finish"
    #: A person stops it for now.
    PAUSE = "pause"
    #: A person lets it go on.
    RESUME = "resume"
    #: A person approves the candidate.
    APPROVE = "approve"
    #: A person makes the candidate stable, or ends its watch.
    PROMOTE = "promote"
    #: A person makes the candidate stable, and it is watched from now on.
    PROMOTE_WATCHED = "promote_watched"


#: What the controller may do by itself; it may abort in every phase that is not final.
AUTOMATIC: Final = frozenset(
    {
        Event.READY,
        Event.ADVANCE,
        Event.COMPLETE,
        Event.SUCCEED,
        Event.WATCH,
        Event.HOLD,
        Event.ABORT,
        Event.FINISH,
    }
)
#: What a person may do.
MANUAL: Final = frozenset(
    {
        Event.PAUSE,
        Event.RESUME,
        Event.APPROVE,
        Event.PROMOTE,
        Event.PROMOTE_WATCHED,
        Event.ABORT,
        Event.FINISH,
    }
)
#: Phases that nothing leads out of.
FINAL: Final = frozenset({Phase.PROMOTED, Phase.ABORTED, Phase.FINISHED})

#: From a phase, by an event, to a phase. What is not here cannot happen.
TRANSITIONS: Final[dict[tuple[Phase, Event], Phase]] = {
    (Phase.PREPARING, Event.READY): Phase.PROGRESSING,
    (Phase.PREPARING, Event.APPROVE): Phase.PREPARING,
    (Phase.PREPARING, Event.ABORT): Phase.ABORTED,
    (Phase.PREPARING, Event.FINISH): Phase.FINISHED,
    (Phase.PROGRESSING, Event.ADVANCE): Phase.PROGRESSING,
    (Phase.PROGRESSING, Event.COMPLETE): Phase.AWAITING_PROMOTION,
    (Phase.PROGRESSING, Event.SUCCEED): Phase.PROMOTED,
    (Phase.PROGRESSING, Event.WATCH): Phase.WATCHING,
    (Phase.PROGRESSING, Event.PROMOTE_WATCHED): Phase.WATCHING,
    (Phase.PROGRESSING, Event.FINISH): Phase.FINISHED,
    (Phase.PROGRESSING, Event.HOLD): Phase.HELD,
    (Phase.PROGRESSING, Event.PAUSE): Phase.PAUSED,
    (Phase.PROGRESSING, Event.APPROVE): Phase.PROGRESSING,
    (Phase.PROGRESSING, Event.PROMOTE): Phase.PROMOTED,
    (Phase.PROGRESSING, Event.ABORT): Phase.ABORTED,
    (Phase.HELD, Event.RESUME): Phase.PROGRESSING,
    (Phase.HELD, Event.PAUSE): Phase.PAUSED,
    (Phase.HELD, Event.APPROVE): Phase.HELD,
    (Phase.HELD, Event.PROMOTE): Phase.PROMOTED,
    (Phase.HELD, Event.PROMOTE_WATCHED): Phase.WATCHING,
    (Phase.HELD, Event.ABORT): Phase.ABORTED,
    (Phase.HELD, Event.FINISH): Phase.FINISHED,
    (Phase.PAUSED, Event.RESUME): Phase.PROGRESSING,
    (Phase.PAUSED, Event.APPROVE): Phase.PAUSED,
    (Phase.PAUSED, Event.PROMOTE): Phase.PROMOTED,
    (Phase.PAUSED, Event.PROMOTE_WATCHED): Phase.WATCHING,
    (Phase.PAUSED, Event.ABORT): Phase.ABORTED,
    (Phase.PAUSED, Event.FINISH): Phase.FINISHED,
    (Phase.AWAITING_PROMOTION, Event.SUCCEED): Phase.PROMOTED,
    (Phase.AWAITING_PROMOTION, Event.WATCH): Phase.WATCHING,
    (Phase.AWAITING_PROMOTION, Event.PROMOTE_WATCHED): Phase.WATCHING,
    (Phase.AWAITING_PROMOTION, Event.PAUSE): Phase.PAUSED,
    (Phase.AWAITING_PROMOTION, Event.APPROVE): Phase.AWAITING_PROMOTION,
    (Phase.AWAITING_PROMOTION, Event.PROMOTE): Phase.PROMOTED,
    (Phase.AWAITING_PROMOTION, Event.ABORT): Phase.ABORTED,
    (Phase.WATCHING, Event.SUCCEED): Phase.PROMOTED,
    (Phase.WATCHING, Event.PROMOTE): Phase.PROMOTED,
    (Phase.WATCHING, Event.ABORT): Phase.ABORTED,
}


def after(phase: Phase, event: Event) -> Phase:
    """The phase after an event.

    Raises:
        Conflict: The table has no such move.
    """
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        events = [one for was, one in TRANSITIONS if was is phase and one in MANUAL]
        possible = ", ".join(events) or "nothing"
        message = f"a rollout that is {phase} cannot {event}; possible is: {possible}"
        raise Conflict(message) from None


def diagram() -> str:
    """The table as a Mermaid state diagram; moves by persons alone have a star."""
    arrows: dict[tuple[Phase, Phase], list[str]] = {}
    for (phase, event), then in TRANSITIONS.items():
        if then is not phase or event in AUTOMATIC:
            star = "" if event in AUTOMATIC else "*"
            arrows.setdefault((phase, then), []).append(f"{event}{star}")
    lines = [f"    {a} --> {b}: {', '.join(events)}" for (a, b), events in arrows.items()]
    ends = [f"    {phase} --> [*]" for phase in Phase if phase in FINAL]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {Phase.PREPARING}", *lines, *ends])
