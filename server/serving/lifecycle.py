"""The states of a version, and the only moves between them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class State(StrEnum):
    """The state of a version in one worker."""

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
    #: Could not be loaded, or is kept out of service; the reason says why. What served before
    #: still serves.
    FAILED = "FAILED"


#: From each state, the states it may move to.
TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.NEW: frozenset({State.LOADING, State.UNLOADED, State.FAILED}),
    State.LOADING: frozenset({State.READY, State.FAILED, State.UNLOADED}),
    State.READY: frozenset({State.DRAINING}),
    State.DRAINING: frozenset({State.UNLOADED, State.READY}),
    State.UNLOADED: frozenset({State.LOADING, State.FAILED}),
    State.FAILED: frozenset({State.LOADING, State.UNLOADED}),
}

#: Names of the states in the Open Inference Protocol's repository extension.
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
    """The status of a version: its state, and the reason.

    Attributes:
        state: The state.
        reason: The reason of the state, for operators.
        since: Time at which the state began, Unix seconds.
        told: The reason as callers are told it: it names no place on the server.
    """

    state: State = State.NEW
    reason: str = ""
    since: float = 0.0
    told: str = ""

    def move(
        self, state: State, reason: str = "", now: float = 0.0, told: str | None = None
    ) -> Status:
        """The status after a move.

        Raises:
            ValueError: The table has no such move.
        """
        if state not in TRANSITIONS[self.state]:
            raise ValueError(f"a version cannot go from {self.state} to {state}")
        told = reason if told is None else told
        return replace(self, state=state, reason=reason, since=now, told=told)


def loading_for(since: float, limit: str, now: float) -> str:
    """The time that a version has been in `State.LOADING`, in words.

    Args:
        since: Time at which the state began, Unix seconds.
        limit: The reason of the state, which names the longest time of a load.
        now: Unix seconds.
    """
    return f"loading for {max(0.0, now - since):.0f} s, {limit}"


def without_places(text: str, places: Iterable[Path]) -> str:
    """The text without the names of directories: paths into them become relative.

    Args:
        text: Such as the message of an error.
        places: Absolute paths of the directories.
    """
    for place in sorted(map(str, places), key=len, reverse=True):
        text = re.sub(re.escape(place) + r"(?:/|(?![\w-]))", _relative, text)
    return text


def _relative(found: re.Match[str]) -> str:
    return "" if found[0].endswith("/") else "its directory"
