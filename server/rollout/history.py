"""The history of a rollout, thinned out: for plots, never for decisions. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from .step_gate import bad_requests

if TYPE_CHECKING:
    from .evidence import Evidence
    from .rollout import Rollout

#: Entries that are kept; when there are more, every other one is removed.
MAX_ENTRIES: Final = 400


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A rollout at one moment; counts are since it began.

    Attributes:
        at: Unix seconds.
        percent: The candidate's share, or the share that a shadow computes.
        e_value: All evidence against the candidate together.
        e_values: By part, in the order of `penstock.server.rollout.evidence.e_values`.
        stable: Requests of stable, and bad ones.
        canary: Requests of the candidate, and bad ones; of a shadow, pairs and disagreements.
    """

    at: float
    percent: float
    e_value: float
    e_values: tuple[float, ...]
    stable: tuple[int, int]
    canary: tuple[int, int]

    def to_list(self) -> list[Any]:
        """The entry as a list of plain values, which is short in JSON."""
        values = [_rounded(one) for one in self.e_values]
        when, e_value = round(self.at, 2), _rounded(self.e_value)
        return [when, self.percent, e_value, values, list(self.stable), list(self.canary)]

    @classmethod
    def from_list(cls, content: Any) -> HistoryEntry:
        """The reverse of `to_list`.

        Raises:
            ValueError: The value is no such list.
        """
        try:
            at, percent, e_value, values, (a, b), (c, d) = content
            parts = tuple(map(float, values))
            stable, canary = (int(a), int(b)), (int(c), int(d))
            return cls(float(at), float(percent), float(e_value), parts, stable, canary)
        except (TypeError, ValueError) as error:
            raise ValueError(f"not a look: {error}") from None


def entry_of(rollout: Rollout, evidence: Evidence, now: float) -> HistoryEntry:
    """The history entry of this moment.

    Args:
        rollout: The rollout with its newest counts.
        evidence: The evidence against its candidate, by the same counts.
        now: Unix seconds.
    """
    counts = [step.counts for step in rollout.steps]
    pairs = [one.pairs for one in counts]
    canary = (
        sum(one.canary.requests for one in counts) + sum(one.pairs for one in pairs),
        sum(bad_requests(one.canary) for one in counts) + sum(one.disagreements for one in pairs),
    )
    stable = (
        sum(one.stable.requests for one in counts),
        sum(bad_requests(one.stable) for one in counts),
    )
    parts = tuple(map(_rounded, evidence.parts.values()))  # as they are kept
    total = _rounded(evidence.total)
    return HistoryEntry(now, rollout.percent, total, parts, stable, canary)


def with_entry(history: tuple[HistoryEntry, ...], entry: HistoryEntry) -> tuple[HistoryEntry, ...]:
    """Append an entry; close entries are removed to make room, changes of the share are kept.

    If the clock was set back, the entry gets the time of the last entry.
    """
    if history and entry.at < history[-1].at:
        entry = replace(entry, at=history[-1].at)
    if len(history) > 1:
        spacing = (entry.at - history[0].at) / MAX_ENTRIES
        before, last = history[-2:]
        same = before.percent == last.percent == entry.percent
        if same and 0 <= entry.at - before.at < spacing:
            return (*history[:-1], entry)
    longer = (*history, entry)
    if len(longer) <= MAX_ENTRIES:
        return longer
    thinned = [
        one
        for number, one in enumerate(longer[:-1])
        if number % 2 == 0 or one.percent != longer[number - 1].percent
    ]
    return (*thinned[-MAX_ENTRIES + 1 :], entry)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
