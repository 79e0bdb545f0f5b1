"""The history of whole rows in past windows, and the next window compared with it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from .assessment import Assessment
from .clients import ClientHistory, Flood
from .growing import Growth
from .relations import LEAST_WINDOWS, Relations
from .repeats import RepeatHistory, Repeats
from .rule import RELATION_SHARE, Level, level_of
from .settling import is_enough

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from .options import DriftOptions
    from .relations import RelationChange
    from .row_sample import RowSample
    from .window import Window

#: Findings have this name where others have that of a feature.
RELATIONS: Final = "(relations)"
#: Change of a correlation from which it matters. Beside a correlation near 1, the divergence alone
#: is large after a small one, as when a part of the traffic is shifted.
_LARGE: Final = 0.2
#: Further pairs of columns that are named.
_MOST_OTHERS: Final = 5


@dataclass(frozen=True, slots=True)
class RowFindings:
    """The findings about the rows of a window.

    Attributes:
        growing: Columns that only grow; they are not compared.
        suspected: Columns that grew within this window.
        repeats: Repeated rows, if there are unusually many.
        flood: The clients that send unusually many of the rows, if any do.
    """

    growing: tuple[str, ...] = ()
    suspected: frozenset[str] = frozenset()
    repeats: Repeats | None = None
    flood: Flood | None = None

    @property
    def flooded_by(self) -> Flood | None:
        """The flood whose rows are no traffic."""
        return None if self.flood is None or self.flood.lasting else self.flood

    @property
    def notes(self) -> dict[str, Any]:
        """For msgpack and JSON; what there is nothing to say of is left out."""
        found: dict[str, Any] = {}
        if self.growing:
            found["growing"] = list(self.growing)
        if self.repeats is not None:
            found["repeats"] = self.repeats.to_dict()
        if self.flood is not None:
            found["flood"] = self.flood.to_dict()
        return found


class RowHistory:
    """Growth, repeated rows, relations and clients of one version in one arm.

    Attributes:
        relations_known: Whether enough healthy windows were seen to judge relations.
    """

    def __init__(self) -> None:
        self.relations_known = False
        self._relations = Relations()
        self._growth = Growth()
        self._repeats = RepeatHistory()
        self._clients = ClientHistory()

    def look(self, window: Window) -> RowFindings:
        """Take the rows of the next window."""
        self._growth.look(window.sample)
        return RowFindings(
            tuple(self._growth.growing),
            frozenset(self._growth.suspected),
            self._repeats.look(window.sample),
            self._clients.look(window.clients, window.start, window.end),
        )

    def settle(self, window: Window, found: RowFindings, *, flooded: bool) -> RowFindings:
        """The findings about a first window after it is known whether one client floods it."""
        flood = found.flood if flooded else None
        self._clients.settle(window.clients, window.start, window.end, flood)
        return replace(found, flood=flood)

    def teach(self, sample: RowSample) -> None:
        """Take rows of a baseline that are as many as those of a window."""
        self._growth.look(sample)
        if self._repeats.look(sample) is None:
            self._relations.learn(sample, 0.0, 0.0)
        self.relations_known = self._relations.windows >= LEAST_WINDOWS

    def forget_relations(self) -> None:
        """Learn them from windows: the rows before are of too short a time."""
        self._relations, self.relations_known = Relations(), False

    @property
    def growing(self) -> list[str]:
        """Columns that only grow."""
        return self._growth.growing

    def relate(
        self,
        window: Window,
        found: RowFindings,
        changed: Collection[str],
        options: DriftOptions,
        *,
        provisional: bool,
    ) -> Assessment | None:
        """Judge the relations of a window, or learn from it while they are not known.

        Args:
            window: The window.
            found: The findings of `look` about it.
            changed: Columns that changed by themselves.
            options: Drift options of the model.
            provisional: Whether the baseline is.

        Returns:
            ``None`` if nothing can be said.
        """
        relations = self._relations
        if found.flooded_by is not None:  # rows of its own kind are not related like others
            return None
        if not self.relations_known and not provisional:
            number, seconds = relations.windows, relations.end - relations.start
            enough = is_enough(number, seconds, options)
            self.relations_known = enough and number >= LEAST_WINDOWS
        if not self.relations_known:
            if found.repeats is None:
                relations.learn(window.sample, window.start, window.end)
            return None
        rate = RELATION_SHARE * options.false_alarm_rate
        silent = {*changed, *found.growing, *found.suspected}
        change = relations.look(window.sample, rate, silent)
        return None if change is None else _assessed(change, window.rows, options)

    def to_dict(self) -> dict[str, Any]:
        """For msgpack."""
        return {
            "known": self.relations_known,
            "relations": self._relations.to_dict(),
            "growth": self._growth.to_dict(),
            "repeats": self._repeats.to_list(),
            "clients": self._clients.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> RowHistory:
        """The reverse of `to_dict`."""
        made = cls()
        made.relations_known = content["known"]
        made._relations = Relations.from_dict(content["relations"])
        made._growth = Growth.from_dict(content["growth"])
        made._repeats = RepeatHistory(content["repeats"])
        made._clients = ClientHistory(content.get("clients"))
        return made


def _assessed(change: RelationChange, rows: int, options: DriftOptions) -> Assessment:
    moved = abs(change.now - change.before)
    level = level_of(change.p, change.psi, RELATION_SHARE, options)
    if level.flagged and moved < _LARGE:
        level = Level.SMALL
    return Assessment(
        level=level,
        psi=change.psi,
        p=change.p,
        moved=moved,
        divergence=0.0,
        shift=0.0,
        rows=rows,
        dispersion=1.0,
        detectable=-1.0,
        output=False,
        categorical=False,
        columns=change.columns,
        correlations=(change.before, change.now),
        others=change.others[:_MOST_OTHERS],
    )


def lower(raw: Mapping[str, Assessment], once: Mapping[str, Assessment]) -> dict[str, Assessment]:
    """Assessments by all rows, each with the lower level of that and of rows counted once.

    What only all rows show of the one column of a model has changed: a row of one value that
    repeats is a value that repeats.
    """
    alone = sum(not one.output for one in raw.values()) == 1
    order = list(Level)
    found = {}
    for name, one in raw.items():
        level = one.level
        if name in once:
            level = min(level, once[name].level, key=order.index)
        if alone and not one.output and one.level is not Level.CLEAN:
            level = max(level, Level.SMALL, key=order.index)
        found[name] = replace(one, level=level)
    return found
