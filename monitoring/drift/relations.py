"""The relations of columns, as correlations within windows. Pure.

A column can keep its distribution and lose its relation to another one: a join that went wrong, a
sensor in the place of its neighbour. So the columns of a window are correlated with each other, by
scores that do not change when a column is shifted, stretched or bent:

| column | scores |
|---|---|
| numbers | normal scores of the ranks within the window (van der Waerden); the same of their \
distances from the middle, which see a relation like y = abs(x) |
| categories | whether a row has the first, second, ... most frequent category of the baseline |

What is compared is ``atanh`` of each correlation (Fisher 1921): its mean over healthy windows
against the window. How much healthy windows differ is measured from them, not from their rows, so
that rows which follow each other may be alike. The variances of few windows are moderated by those
of all pairs (Smyth 2004), and are never below those of independent rows. The chance of a difference
is the larger one of Student's t, for the variance is an estimate, and of the exact law of few
independent normal rows, for ``atanh`` of these has long tails. It counts times the number of pairs.

How large a change is, is told by the same measure as for a column: the PSI is the symmetric
divergence of two distributions, and of two normal ones that differ in their correlation only it is
known in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.probability import (
    correlation_tails,
    moderated_variances,
    student_tails,
)

from .column_scores import LEAST_HITS, category_scores, normal_scores

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from .row_sample import RowSample

#: Rows below which a window is not correlated, and windows below which none is judged.
LEAST_ROWS: Final = 50
LEAST_WINDOWS: Final = 8
#: Scores of all columns together.
MOST_SCORES: Final = 256
MOST_CATEGORIES: Final = 3
_LARGEST: Final = 0.999
#: ``atanh`` of a correlation in healthy windows from which on rare categories are compared, too.
_TIGHT: Final = 0.5
#: Variance against that of independent rows up to which windows differ by chance.
_BY_CHANCE: Final = 1.3
#: Independent stretches of time below which a pair is not judged.
_LEAST_STRETCHES: Final = 4.0
#: Pairs whose memory is averaged.
_MANY_PAIRS: Final = 10
#: Chance from which on the second law is asked, too.
_RARE: Final = 0.01
_FIGURES: Final = ("number", "mean", "squares", "lagged", "last")


@dataclass(frozen=True, slots=True)
class RelationChange:
    """The relation that changed most.

    Attributes:
        columns: The two columns.
        before: Their correlation (of their scores) in healthy windows.
        now: And in this one.
        p: Probability of such a change of any of the relations, when nothing has changed.
        psi: How large it is, on the scale of the population stability index.
        others: Further pairs of columns whose relation changed as certainly, most certain first.
    """

    columns: tuple[str, str]
    before: float
    now: float
    p: float
    psi: float
    others: tuple[tuple[str, str], ...]


class Relations:
    """Correlations of healthy windows: mean, spread and memory of each pair of scores.

    Attributes:
        windows: Number of windows that were learnt from.
        start: Unix seconds when the first began; 0 without any.
        end: When the last ended.
    """

    def __init__(self) -> None:
        self.windows = 0
        self.start = self.end = 0.0
        self._names: tuple[str, ...] = ()
        self._scores: list[tuple[int, int]] = []
        self._inverse = 0.0
        self._of: dict[str, NDArray[np.float64]] = {}

    def learn(self, sample: RowSample, start: float, end: float) -> None:
        """Take a healthy window.

        Args:
            sample: Its rows.
            start: Unix seconds.
            end: Unix seconds.
        """
        if len(sample.hashes) < LEAST_ROWS or len(sample.names) < 2:  # noqa: PLR2004  a pair
            return
        if not self._names:
            self._begin(sample)
        found = self._correlations(sample)
        of, there = self._of, np.isfinite(found)
        of["number"] += there
        away = np.where(there, found - of["mean"], 0.0)
        of["mean"] += away / np.maximum(of["number"], 1)
        of["squares"] += away * np.where(there, found - of["mean"], 0.0)
        last = of["last"] - of["mean"]
        of["lagged"] += np.where(there & np.isfinite(last), last * (found - of["mean"]), 0.0)
        of["last"] = np.where(there, found, of["last"])
        self._inverse += 1.0 / len(sample.hashes)
        self.windows += 1
        self.start = self.start or start
        self.end = max(self.end, end)

    def look(
        self, sample: RowSample, rate: float, left_out: Collection[str]
    ) -> RelationChange | None:
        """Look for a changed relation in a window.

        Args:
            sample: Rows of the window.
            rate: Probability of a change by chance from which on others are named, too.
            left_out: Columns that changed by themselves, or say nothing.

        Returns:
            The largest change, likely or not; ``None`` if nothing could be compared.
        """
        rows = len(sample.hashes)
        if rows < LEAST_ROWS or self.windows < LEAST_WINDOWS:
            return None
        now = self._correlations(sample)
        mean, p = self._of["mean"], self._chances(now, rows)
        first, second = self._pairs()
        silent = np.array([name in left_out for name in self._names])
        p[silent[first] | silent[second]] = np.nan
        tested = int(np.isfinite(p).sum())
        if not tested:
            return None
        chances = np.where(np.isfinite(p), p, np.inf)
        psi = divergence(np.tanh(mean), np.tanh(np.where(np.isfinite(now), now, mean)))
        order = np.lexsort((-psi, chances))
        most, sure = order[0], order[chances[order] * tested <= rate]
        pairs = [(self._names[first[one]], self._names[second[one]]) for one in sure.tolist()]
        columns = (self._names[first[most]], self._names[second[most]])
        others = tuple(one for one in dict.fromkeys(pairs) if one != columns)
        return RelationChange(
            columns,
            float(np.tanh(mean[most])),
            float(np.tanh(now[most])),
            min(1.0, float(chances[most]) * tested),
            float(psi[most]),
            others,
        )

    def to_dict(self) -> dict[str, Any]:
        """For msgpack."""
        return {
            "windows": self.windows,
            "start": self.start,
            "end": self.end,
            "names": self._names,
            "scores": self._scores,
            "inverse": self._inverse,
            **{name: one.astype("<f4").tobytes() for name, one in self._of.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Relations:
        """The reverse of `to_dict`."""
        made = cls()
        made.windows, made._inverse = content["windows"], content["inverse"]
        made.start, made.end = content["start"], content["end"]
        made._names = tuple(content["names"])
        made._scores = [(column, kind) for column, kind in content["scores"]]
        if made._names:
            made._of = {
                name: np.frombuffer(content[name], "<f4").astype(np.float64) for name in _FIGURES
            }
        return made

    def _begin(self, sample: RowSample) -> None:
        self._names = sample.names
        categories = sum(sample.categorical)
        numbers = len(sample.names) - categories
        squares = 2 * numbers + categories <= MOST_SCORES
        room = MOST_SCORES - numbers * (2 if squares else 1)
        each = max(1, min(MOST_CATEGORIES, room // max(1, categories)))
        for place, categorical in enumerate(sample.categorical):
            kinds = each if categorical else 1 + squares
            self._scores += [(place, kind) for kind in range(kinds)]
        self._scores = self._scores[:MOST_SCORES]
        size = len(self._pairs()[0])
        self._of = {name: np.zeros(size) for name in _FIGURES}
        self._of["last"] += np.nan

    def _pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The columns of each pair of scores of different columns."""
        columns = np.array([column for column, _ in self._scores])
        first, second = self._places()
        return columns[first], columns[second]

    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        columns = np.array([column for column, _ in self._scores])
        first, second = np.triu_indices(len(columns), 1)
        apart = columns[first] != columns[second]
        return first[apart], second[apart]

    def _correlations(self, sample: RowSample) -> NDArray[np.float64]:
        """``atanh`` of the correlation of each pair; NaN where it means nothing."""
        rows = len(sample.hashes)
        places = {name: place for place, name in enumerate(sample.names)}
        scores = np.full((rows, len(self._scores)), np.nan)
        shares = np.full(len(self._scores), 0.5)
        known: dict[int, NDArray[np.float64]] = {}
        for at, (column, kind) in enumerate(self._scores):
            place = places.get(self._names[column])
            if place is None:
                continue
            values = sample.values[:, place]
            if sample.categorical[place]:
                scores[:, at], shares[at] = category_scores(values, kind)
            else:
                if column not in known:
                    known[column] = normal_scores(values)
                scores[:, at] = known[column] if kind == 0 else normal_scores(np.abs(known[column]))
        there = np.isfinite(scores)
        scores[~there] = 0.0
        products = scores.T @ scores
        weights = (scores * scores).T @ there
        both = there.T.astype(np.float64) @ there
        with np.errstate(invalid="ignore", divide="ignore"):
            found = products / np.sqrt(weights * weights.T)
        found[both < max(LEAST_ROWS, rows / 2)] = np.nan
        first, second = self._places()
        found = np.clip(found[first, second], -_LARGEST, _LARGEST)
        transformed: NDArray[np.float64] = np.arctanh(found)
        hits = rows * np.outer(shares, shares)[first, second]
        # Two rare categories meet by chance in a row or two, and correlate much.
        loose = (hits < LEAST_HITS) & (np.abs(self._of["mean"]) < _TIGHT)
        transformed[loose] = np.nan
        return transformed

    def _chances(self, now: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
        """Probability of the change of each pair; NaN where it cannot be said."""
        of, usual = self._of, self.windows / self._inverse
        number = of["number"]
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = of["squares"] / (number - 1)
            memory = of["lagged"] / of["squares"]
        memory = np.where(np.isfinite(memory), memory, 0.0)
        # What one pair shows is mostly noise; what all show together is not.
        common = float(memory.mean()) if len(memory) >= _MANY_PAIRS else 0.0
        memory = np.maximum(memory - 2 / np.sqrt(np.maximum(number, 1)), common).clip(0.0, 0.99)
        stretches = number * (1 - memory) / (1 + memory)
        able = (stretches >= _LEAST_STRETCHES) & np.isfinite(now) & np.isfinite(variance)
        chances = np.full(len(now), np.nan)
        if not able.any():
            return chances
        chance = 1.0 / (usual - 3)
        degrees = stretches[able] - 1
        variance, degrees, center = moderated_variances(
            np.maximum(variance[able], chance / 2), degrees
        )
        variance = np.maximum(variance, chance)
        if rows < usual or center <= _BY_CHANCE * chance:
            variance = variance * (usual - 3) / (rows - 3)
        away = np.abs(now - of["mean"])[able]
        variance = variance * (1 + 1 / stretches[able])
        tails = student_tails(away / np.sqrt(variance), degrees)
        rare = tails < _RARE
        tails[rare] = np.maximum(tails[rare], correlation_tails(away[rare], variance[rare]))
        chances[able] = tails
        return chances


def divergence(before: NDArray[np.float64], now: NDArray[np.float64]) -> NDArray[np.float64]:
    """The symmetric divergence of normal pairs by their correlations: the PSI of infinite bins."""
    apart = 1 - before * now
    found: NDArray[np.float64] = apart / (1 - before**2) + apart / (1 - now**2) - 2
    return found
