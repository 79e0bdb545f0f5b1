"""The states of a version, and the only moves between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a version stands in one worker."""

    #: Found in the registry; nothing has been done yet.
    NEW = "NEW"
    #: Being read, warmed up and measured; serves nothing yet.
    LOADING = "LOADING"
    #: Serves.
    READY = "READY"
    #: Takes nothing new and finishes what it has.
    DRAINING = "DRAINING"
    #: Gone from memory; may be loaded again.
    UNLOADED = "UNLOADED"
    #: Could not be loaded; the reason says why. What served before still serves.
    FAILED = "FAILED"


#: From each state, the states it may move to.
TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.NEW: frozenset({State.LOADING, State.UNLOADED}),
    State.LOADING: frozenset({State.READY, State.FAILED, State.UNLOADED}),
    State.READY: frozenset({State.DRAINING}),
    State.DRAINING: frozenset({State.UNLOADED, State.READY}),
    State.UNLOADED: frozenset({State.LOADING}),
    State.FAILED: frozenset({State.LOADING, State.UNLOADED}),
}

#: The same in the words of the Open Inference Protocol's repository extension.
REPOSITORY_STATES: Final[dict[State, str]] = {
    State.NEW: "UNAVAILABLE",
    State.LOADING: "LOADING",
    State.READY: "READY",
    State.DRAINING: "UNLOADING",
    State.UNLOADED: "UNAVAILABLE",
    State.FAILED: "UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class Status:
    """A version's state, why it is in it, and since when (Unix seconds)."""

    state: State = State.NEW
    reason: str = ""
    since: float = 0.0

    def move(self, state: State, reason: str = "", now: float = 0.0) -> Status:
        """The status after a move.

        Raises:
            ValueError: The table has no such move.
        """
        if state not in TRANSITIONS[self.state]:
            raise ValueError(f"a version cannot go from {self.state} to {state}")
        return replace(self, state=state, reason=reason, since=now)
