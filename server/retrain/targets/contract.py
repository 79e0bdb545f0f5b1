"""The contract of a target: a tool that runs a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class TargetFailed(Exception):
    """The target refused or failed; the message says why, and holds no secret.

    Attributes:
        final: Whether another attempt would change nothing.
        retry_after: Seconds that the target asked to wait.
    """

    def __init__(self, reason: str, *, final: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.final = final
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be started.

    Attributes:
        key: Idempotency key: two orders with one key must not start two runs.
        payload: What the training is told; see `penstock.server.retrain.run.Run.payload`.
        again: Whether an earlier attempt may have reached the target.
        now: Unix seconds.
        decided_at: Unix seconds of the decision; no run of this key is older.
        time_limit: Seconds after which nobody waits for its end.
    """

    key: str
    payload: Mapping[str, Any]
    again: bool
    now: float
    decided_at: float
    time_limit: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands.

    Attributes:
        ended: Whether it has ended.
        succeeded: Whether it has ended well.
        detail: In the target's words.
    """

    ended: bool
    succeeded: bool
    detail: str = ""


def standing_of(state: str, ended: Collection[str], well: str, message: Any = None) -> Standing:
    """How a run stands, of a tool that has a word for each state.

    Args:
        state: The word of the present state.
        ended: Words of the states in which a run has ended.
        well: The word of a run that has ended well.
        message: What the tool says of the state; nothing if it says nothing.
    """
    return Standing(state in ended, state == well, f"{state}: {message}" if message else state)


class Target(Protocol):
    """A tool that runs a training. Blocking; every wait has a limit."""

    def start(self, order: Order) -> str:
        """Start a run, or find the one that the same key has started.

        Returns:
            The name of the run, for `look`; empty if the tool has none.

        Raises:
            TargetFailed: Nothing was started, as far as is known.
        """
        ...

    def look(self, handle: str) -> Standing:
        """How a run stands.

        Args:
            handle: As `start` gave it.

        Raises:
            TargetFailed: It is not known now.
        """
        ...
