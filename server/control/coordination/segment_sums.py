"""The counts of single segments, summed over all processes, the dead ones included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.server.rollout.segment_counts import SegmentCounts
from penstock.server.rollout.segment_table import segments_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from penstock.monitoring.metrics.process_figures import ProcessFigures
    from penstock.server.rollout.rollout import Rollout
    from penstock.server.rollout.segment_counts import Segments

#: Tables of dead processes that are kept one by one; older ones are kept as their sum.
_MOST_DEAD: Final = 16
#: The sum of the older ones, beside the incarnations.
_OLDER: Final = ""


class SegmentSums:
    """Adds up the tables of segments.

    The table of a process ends with it. What it had counted is kept, or else it would be taken off
    what the others count afterwards: figures that are larger by then would hide it.
    """

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, Segments]] = {}

    def of(self, live: Sequence[ProcessFigures], rollout: Rollout) -> Segments:
        """The sums, which never go back.

        Args:
            live: The processes that are alive.
            rollout: The rollout.
        """
        if not rollout.terms.segments:
            return {}
        candidate = rollout.model, str(rollout.candidate)
        tables = self._tables.setdefault(rollout.id, {})
        for one in live:
            blocks = one.segments.get(candidate, ())
            tables.pop(one.incarnation, None)  # behind the ones that were last seen earlier
            tables[one.incarnation] = segments_of(rollout.id, rollout.terms.segments, blocks)
        there = {_OLDER, *(one.incarnation for one in live)}
        for dead in [name for name in tables if name not in there][:-_MOST_DEAD]:
            tables[_OLDER] = _sum([tables.get(_OLDER, {}), tables.pop(dead)])
        return _sum(tables.values())

    def forget(self, ids: Collection[str]) -> None:
        """Keep nothing of rollouts but these."""
        self._tables = {name: one for name, one in self._tables.items() if name in ids}


def _sum(tables: Iterable[Segments]) -> Segments:
    found: Segments = {}
    for table in tables:
        for name, counts in table.items():
            found[name] = found.get(name, SegmentCounts()).plus(counts)
    return found
