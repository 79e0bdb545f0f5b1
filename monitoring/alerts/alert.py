"""One change of one episode of something being wrong: it began, or it is over."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

Severity = Literal["info", "warning", "critical"]
#: Ascending.
SEVERITIES: Final = get_args(Severity)
OPENED: Final = "opened"
CLOSED: Final = "closed"

_KIND: Final = re.compile(r"[a-z]+([._][a-z]+)*")
#: Kinds that tell of a moment, not of a time, by their first word: they are never open, and are
#: named without a state.
MOMENTS: Final = ("rollout", "labelling", "test")


@dataclass(frozen=True, slots=True)
class Alert:
    """A message about one episode for the people who are told.

    Attributes:
        kind: Name of the rule, in lower case with dots and no state: ``drift``, ``performance``,
            ``labelling.changed``, ``quality``, ``rollout.aborted``, ``slo.burn``,
            ``monitor.degraded``, ``registry.config``, ``registry.quarantine``.
        model: Name of the model; empty when it is about the server.
        version: Version of the model; empty when it is about all of them.
        subject: Feature, output, rollout or objective that it is about; may be empty.
        severity: One of `SEVERITIES`.
        opened: Whether the episode begins; else it is over. A moment, ``rollout.promoted`` for
            example, opens and need not close.
        episode: Names the episode, the same when it opens and when it closes, and never used
            again: who gets the alert twice recognises it by this.
        time: Unix seconds.
        summary: One sentence for people, with the figures that matter.
        evidence: The figures for programs; must fit in JSON.
    """

    kind: str
    model: str
    version: str
    subject: str
    severity: str
    opened: bool
    episode: str
    time: float
    summary: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the fields, so that every alert can be stored and sent.

        Raises:
            ValueError: A field is not what the class says.
        """
        if not _KIND.fullmatch(self.kind):
            raise ValueError(f"kind is {self.kind!r}, expected lower case words joined by dots")
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity is {self.severity!r}, expected one of {SEVERITIES}")
        if not self.episode or not self.summary:
            raise ValueError("an alert needs an episode and a summary")

    @property
    def state(self) -> str:
        """``opened`` or ``closed``."""
        return OPENED if self.opened else CLOSED

    @property
    def moment(self) -> bool:
        """True if the alert is of a moment: something happened, and no episode began."""
        return self.kind.partition(".")[0] in MOMENTS

    @property
    def name(self) -> str:
        """The type of the event: ``drift.opened``, ``drift.closed``, ``rollout.aborted``."""
        return self.kind if self.moment and self.opened else f"{self.kind}.{self.state}"
