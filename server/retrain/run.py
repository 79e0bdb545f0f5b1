"""A run of a retraining: what is remembered of it, in the state file and in answers."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec


class Phase(StrEnum):
    """Where a run is. Each value is kept in the state file."""

    #: It was decided, and is not on record yet.
    DECIDED = "decided"
    EXPORTING = "exporting"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


#: Phases after which nothing more happens.
FINAL: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED})
#: What started a run that a person asked for.
BY_HAND: Final = "by hand"


class Data(msgspec.Struct, frozen=True):
    """The exported predictions.

    Attributes:
        uri: Path or URL of the file; empty if there is none.
        sha256: Of the file, in hex.
        rows: Predictions with a label in it.
        note: Why there is none, or what is missing in it.
    """

    uri: str = ""
    sha256: str = ""
    rows: int = 0
    note: str = ""


class Run(msgspec.Struct, frozen=True):
    """One retraining. Times are Unix seconds; 0 is not yet.

    Attributes:
        id: Names the run, and is its idempotency key: the same at each attempt.
        model: Name of the model.
        version: The version that served.
        digest: Digest of that version; empty if it was not known.
        trigger: What started it: a trigger of ``on``, or `BY_HAND`.
        reason: Why, in words.
        incident: Episode of the alert that started it; empty if none did.
        by: Who asked for it; ``retrain`` for the server itself.
        newest: Highest version in the registry when it was decided.
        decided_at: When it was decided.
        phase: Where it is.
        attempts: Of the present step: the export, or the start.
        next_at: When the present step is tried, or the run looked at, again.
        data: The exported predictions.
        handle: The target's name of the run; empty if it cannot be looked at.
        started_at: When the target took it.
        ended_at: When it ended.
        problem: What went wrong last; of a failed run why it failed.
        result: The version that it made; 0 if none is known.
        result_digest: Digest of that version.
    """

    id: str
    model: str
    version: int
    digest: str
    trigger: str
    reason: str
    incident: str
    by: str
    newest: int
    decided_at: float
    phase: Phase = Phase.DECIDED
    attempts: int = 0
    next_at: float = 0.0
    data: Data = Data()
    handle: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    problem: str = ""
    result: int = 0
    result_digest: str = ""

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.phase in FINAL

    def to_json(self) -> dict[str, Any]:
        """For answers."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found

    def payload(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """What the target is told.

        Args:
            parameters: Of the configuration, handed through.
        """
        data = {"uri": self.data.uri, "sha256": self.data.sha256, "rows": self.data.rows}
        return {
            "run": self.id,
            "idempotency_key": self.id,
            "model": self.model,
            "version": self.version,
            "digest": self.digest,
            "trigger": self.trigger,
            "reason": self.reason,
            "incident": self.incident,
            "by": self.by,
            "decided_at": self.decided_at,
            "data": data if self.data.uri else None,
            "parameters": parameters,
        }
