"""Features whose episodes open in the same window: their name together and their order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .assessment import Assessment
    from .states import Episode

_SMALLEST: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Change:
    """An episode began or ended.

    Attributes:
        feature: Name of the feature.
        before: The episode before the window.
        after: And after it.
        assessment: Assessment of the window; ``None`` when the baseline was replaced.
    """

    feature: str
    before: Episode
    after: Episode
    assessment: Assessment | None

    @property
    def words(self) -> str:
        """The feature, or the relation of two, for people.

        At the end of an episode all relations are as they were; the two that differ most then need
        not be those that did when it began.
        """
        columns = () if self.assessment is None else self.assessment.columns
        if columns and not self.after.open:
            return "each relation between columns"
        return words_of(self.feature, columns)


def words_of(name: str, columns: Sequence[str]) -> str:
    """A feature, or the relation of two, for people.

    Args:
        name: Of the finding.
        columns: The two; empty for a feature.
    """
    return f"the relation between {' and '.join(columns)}" if columns else name


def subject_of(features: Sequence[str]) -> str:
    """The name of an incident.

    Args:
        features: In order of contribution.
    """
    first, *others = features
    return f"{first} and {len(others)} more" if others else first


def by_contribution(changes: Iterable[Change]) -> list[Change]:
    """The largest change first."""
    return sorted(changes, key=psi_of, reverse=True)


def psi_of(change: Change) -> float:
    """The contribution of a feature; a little more than 0 at least."""
    return _SMALLEST if change.assessment is None else max(_SMALLEST, change.assessment.psi)
