"""Tests that bad votes have become more within the classes, too. Pure.

That labels come more often of one class changes the share of bad votes, and not the shares within
the classes: of true classes if the labelling follows the truth, of predicted ones if it follows the
prediction. So a version has become worse only if it has within both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from .strata import Strata

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a vote is told with that groups it: the classes, and who labelled it.
PREDICTED, TRUTH, SOURCE = "predicted", "truth", "source"
#: So many times less evidence is enough within the classes.
ENOUGH: Final = 3.0
#: The votes of the reference must have come with their classes, but for a few.
_NEARLY_ALL: Final = 0.9


@dataclass(slots=True)
class ClassTest:
    """The test for change within the predicted classes, and within the true ones.

    Attributes:
        strata: By `PREDICTED` and `TRUTH`.
    """

    strata: dict[str, Strata] = field(
        default_factory=lambda: {PREDICTED: Strata(), TRUTH: Strata()}
    )

    def count(self, groups: Mapping[str, str], *, bad: bool) -> None:
        """A vote of the reference."""
        for name, strata in self.strata.items():
            if name in groups:
                strata.count(groups[name], bad=bad)

    def add(self, groups: Mapping[str, str], mean: float, *, bad: bool, worth: float) -> None:
        """A vote after the reference; see `Strata.add`."""
        for name, strata in self.strata.items():
            if name in groups:
                strata.add(groups[name], mean, bad=bad, worth=worth)

    def agrees(self, groups: Mapping[str, str], threshold: float, votes: float) -> bool:
        """True if there is evidence within all classes that are known.

        Args:
            groups: Source and classes of the present vote.
            threshold: Evidence that there must be of all votes.
            votes: Of the reference.
        """
        return all(
            ENOUGH * strata.statistic >= threshold
            for name, strata in self.strata.items()
            if name in groups and votes and strata.votes >= _NEARLY_ALL * votes
        )

    def reset(self) -> None:
        """Forget the evidence."""
        for strata in self.strata.values():
            strata.reset()

    def to_json(self) -> dict[str, Any]:
        """To go on after a restart."""
        return {name: one.to_json() for name, one in self.strata.items()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> ClassTest:
        """The reverse of `to_json`."""
        return cls({name: Strata.from_json(one) for name, one in content.items()})
