"""The sources of labels, and their share in the votes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from .reference import LARGEST
from .strata import MOST, Strata

#: Standard errors of a source's share that are added to it.
MARGIN: Final = 2.0
#: Of so many votes in a row, more than half from unknown sources change the labelling.
RUN: Final = 100


@dataclass(slots=True)
class Sources:
    """The sources of the labels of the reference; votes of others cannot be compared.

    Attributes:
        strata: Votes of the reference, and bad ones among them, by source.
        run: Votes, and those from unknown sources, of the present `RUN`.
    """

    strata: Strata = field(default_factory=Strata)
    run: tuple[int, int] = (0, 0)

    def count(self, source: str, *, bad: bool) -> None:
        """A vote of the reference."""
        self.strata.count(source, bad=bad)

    @property
    def tell(self) -> bool:
        """True if all sources of the reference are known; too many of them say nothing."""
        return 0 < len(self.strata.groups) < MOST

    def knows(self, source: str) -> bool:
        """True if the reference has votes of this source, or knows no sources."""
        return not self.tell or source in self.strata.groups

    def is_another(self, source: str) -> bool:
        """Count a vote's source; returns whether more than half come from unknown ones by now."""
        votes, strange = self.run[0] + 1, self.run[1] + (not self.knows(source))
        full = votes == RUN
        self.run = (0, 0) if full else (votes, strange)
        return full and 2 * strange > RUN

    def rate(self, source: str, rate: float, mean: float) -> float:
        """The share of bad votes that is expected of a source.

        Args:
            source: Its name; empty for all together.
            rate: Share that is expected of all sources at this moment.
            mean: Share that is expected of them at all times.
        """
        alone = len(self.strata.groups) < 2  # noqa: PLR2004  one source is the mean
        if not source or alone or not self.tell:
            return rate
        share, error = self.strata.rate(source, mean)
        return min(rate * (share + MARGIN * error) / mean, LARGEST)

    def to_json(self) -> dict[str, Any]:
        """To go on after a restart."""
        return {"strata": self.strata.to_json(), "run": self.run}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Sources:
        """The reverse of `to_json`."""
        votes, strange = content["run"]
        return cls(Strata.from_json(content["strata"]), (votes, strange))
