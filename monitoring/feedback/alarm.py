"""An alarm: how bad it is, and when it is over. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

#: Good votes in a row of so many end an alarm.
RECOVERY: Final = 300
#: At an alarm the share of bad ones is shown of so many votes, or up to twice as many.
RECENT: Final = 200


@dataclass(slots=True)
class Alarm:
    """The alarm of one version.

    Attributes:
        vote: Vote at which the latest one was raised.
        worse: Share of bad votes since the change, as estimated then.
        recent: Votes, and bad ones among them, of the last full `RECENT` and of those since.
        good_run: Votes, and bad ones among them, of the present row of `RECOVERY`.
    """

    vote: int = 0
    worse: float = 0.0
    recent: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0), (0, 0)])
    good_run: tuple[int, int] = (0, 0)

    def remember(self, *, bad: bool) -> None:
        """A vote while there is no alarm."""
        votes, wrong = self.recent[-1]
        if votes >= RECENT:
            self.recent = [(votes, wrong), (1, int(bad))]
        else:
            self.recent[-1] = votes + 1, wrong + bad

    def begin(self, vote: int, expected: float, odds: float) -> None:
        """It is raised.

        Args:
            vote: Number of the vote.
            expected: Share of bad votes that was expected of it.
            odds: So many times the odds fit best.
        """
        votes, wrong = (sum(one) for one in zip(*self.recent, strict=True))
        self.worse = max(odds * expected / (1 - expected + odds * expected), wrong / votes)
        self.vote, self.good_run = vote, (0, 0)

    def is_over(self, rate: float, *, bad: bool) -> bool:
        """Count a vote; returns whether a full row is nearer to the reference.

        Args:
            rate: Its share of bad votes.
            bad: Whether the vote is.
        """
        votes, wrong = self.good_run[0] + 1, self.good_run[1] + bad
        full = votes == RECOVERY
        self.good_run = (0, 0) if full else (votes, wrong)
        if not full or wrong / votes > (rate + self.worse) / 2:
            return False
        self.recent = [(0, 0), (0, 0)]
        return True

    def to_json(self) -> dict[str, Any]:
        """To go on after a restart."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Alarm:
        """The reverse of `to_json`."""
        votes, wrong = content["good_run"]
        recent = [(one, bad) for one, bad in content["recent"]]
        return cls(content["vote"], content["worse"], recent, (votes, wrong))
