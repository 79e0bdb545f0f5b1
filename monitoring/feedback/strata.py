"""Votes in groups, and the evidence of a change within the groups. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from .change_evidence import ODDS, WEIGHTS, grow, ratios

#: Groups with a share of their own.
MOST: Final = 200
#: Votes at the mean share that each group is drawn towards it by.
PRIOR: Final = 10.0
#: Standard errors of a group's share that are added to it.
MARGIN: Final = 0.5
_LARGEST: Final = 0.9
_SMALLEST: Final = 0.002
_HIGHEST: Final = 1e250


@dataclass(slots=True)
class Strata:
    """Votes by group, and the evidence that bad ones have become more within the groups.

    Attributes:
        groups: Votes of the reference, and bad ones among them, by name of the group.
        sums: Statistic for each of `ODDS`.
    """

    groups: dict[str, tuple[int, int]] = field(default_factory=dict)
    sums: list[float] = field(default_factory=lambda: [0.0] * len(ODDS))

    @property
    def votes(self) -> int:
        """Of the reference."""
        return sum(votes for votes, _ in self.groups.values())

    def count(self, group: str, *, bad: bool) -> None:
        """A vote of the reference."""
        if group in self.groups or len(self.groups) < MOST:
            votes, wrong = self.groups.get(group, (0, 0))
            self.groups[group] = votes + 1, wrong + bad

    def rate(self, group: str, mean: float) -> tuple[float, float]:
        """The share of bad votes of a group, and its standard error.

        Args:
            group: Its name; of one that is not known, `mean` is all that is.
            mean: Share of all groups together.
        """
        votes, wrong = self.groups.get(group, (0, 0))
        share = (wrong + PRIOR * mean) / (votes + PRIOR)
        return share, math.sqrt(share * (1 - share) / (votes + PRIOR))

    def add(self, group: str, mean: float, *, bad: bool, worth: float) -> None:
        """A vote after the reference.

        Args:
            group: Name of the group.
            mean: Share of bad votes of the reference.
            bad: Whether this one is.
            worth: Independent votes that it stands for, at most 1.
        """
        share, error = self.rate(group, mean)
        share = min(max(share + MARGIN * error, _SMALLEST), _LARGEST)
        for number, odds in enumerate(ODDS):
            ratio = ratios(share, odds)[not bad]
            self.sums[number] = min(grow(self.sums[number], ratio**worth), _HIGHEST)

    @property
    def statistic(self) -> float:
        """The evidence."""
        return sum(w * one for w, one in zip(WEIGHTS, self.sums, strict=True))

    def reset(self) -> None:
        """Forget the evidence."""
        self.sums = [0.0] * len(ODDS)

    def to_json(self) -> dict[str, Any]:
        """To go on after a restart."""
        return {"groups": self.groups, "sums": self.sums}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Strata:
        """The reverse of `to_json`."""
        groups = {name: (votes, bad) for name, (votes, bad) in content["groups"].items()}
        return cls(groups, list(content["sums"]))
