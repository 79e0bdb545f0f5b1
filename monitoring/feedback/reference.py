"""The share of bad votes that is expected at each hour of the week. Pure.

The days of the week and the hours of the day each have a factor, and so has each hour of the week
where there are votes enough. Days begin at the hour at which they differ most: that of a time zone.
A factor is drawn towards 1 as far as chance explains that it differs (empirical Bayes: R.
DerSimonian, N. Laird, "Meta-analysis in clinical trials", 1986), and a margin for its own error is
added: so the rate of false alarms is kept on cycles that few votes showed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from .outputs import Floats

DAYS: Final = 7
HOURS: Final = 24
#: Hours of a week.
CELLS: Final = DAYS * HOURS
HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
#: Days differ if their chi square is so many standard deviations above what chance gives. So few,
#: as a week of labels seldom shows more of its weekend; what chance alone shows costs labels until
#: an alarm, and where it lowers a share the margin makes up for that.
SURE_DAYS: Final = 1.5
#: The same of hours: what differs within days is seen seven times a week.
SURE_HOURS: Final = 3.0
#: Standard errors of the factors that are added to the share.
MARGIN: Final = 3.0
#: Fewer votes tell no hours or days apart.
SHAPED: Final = 1000
#: Fewer votes tell quarters of the day apart, and no hours.
HOURLY: Final = 100 * HOURS
#: Votes for each hour (quarter) of the week that has a factor of its own.
WEEKLY: Final = 40
#: Days that are kept while votes look worse.
MOST_DAYS: Final = 90
_QUARTERS: Final = 4
#: Hours at which the days of a week may begin.
SHIFTS: Final = range(0, HOURS, 3)
#: So much more must the chi square be than of days that begin at 0 h UTC.
SHIFTED: Final = 3.0
#: Fewer votes of the same hours say nothing.
FEWEST: Final = 50
#: Votes change the factors when they are so many days old: a change must not teach itself.
LAG_DAYS: Final = 8
SMALLEST: Final = 0.002
LARGEST: Final = 0.8


def cell_of(time: float) -> int:
    """The hour of the week of a time, Unix seconds."""
    return int(time // HOUR) % CELLS


def factors(bad: Floats, expected: Floats, votes: Floats, least: float) -> tuple[Floats, Floats]:
    """Of each group, how many times more votes are bad than expected, and the variance of that.

    Args:
        bad: Bad votes of each group.
        expected: Bad votes that are expected of it.
        votes: All its votes.
        least: The groups differ if chi square is so many standard deviations above what chance
            gives; else all factors are 1.
    """
    ones, zeros = np.ones(bad.shape), np.zeros(bad.shape)
    known = (expected > 0) & (votes > expected)
    degrees = int(known.sum()) - 1
    if degrees < 1:
        return ones, zeros
    ratio = np.divide(bad, expected, out=ones.copy(), where=known)
    sure = np.divide(expected * votes, votes - expected, out=zeros.copy(), where=known)
    chi = float((sure * (ratio - 1) ** 2).sum())
    if chi < degrees + least * math.sqrt(2 * degrees):
        return ones, zeros
    between = (chi - degrees) / float(sure.sum() - (sure**2).sum() / sure.sum())
    pull = between * sure / (between * sure + 1)
    return 1 + pull * (ratio - 1), np.where(known, between * (1 - pull), between)


def expected_factors(votes: Floats, bad: Floats) -> Floats:
    """Of each hour of the week, its expected share of bad votes over the mean, with the margin.

    Args:
        votes: Of each hour of the week.
        bad: Bad ones among them.
    """
    total = float(votes.sum())
    if total < SHAPED:
        return np.ones(CELLS)
    share = float((bad.sum() + 1) / (total + 2))
    parts = HOURS if total >= HOURLY else _QUARTERS
    shapes = [(DAYS, 1), (1, parts)]
    if total >= WEEKLY * DAYS * parts:
        shapes.append((DAYS, parts))
    shift = max(SHIFTS, key=lambda hours: _day_differences(votes, bad, share, hours))
    week, wrong = _from(votes, shift), _from(bad, shift)
    found, variance = np.ones(week.shape), np.zeros(week.shape)
    for shape in shapes:
        made, expected, votes_of = (
            _grouped(one, shape) for one in (wrong, week * share * found, week)
        )
        least = SURE_DAYS if shape[0] > 1 else SURE_HOURS
        factor, error = (_spread(one) for one in factors(made, expected, votes_of, least))
        found, variance = found * factor, variance + error
    return np.roll((found * (1 + MARGIN * np.sqrt(variance))).ravel(), shift)


def _from(week: Floats, shift: int) -> Floats:
    """The hours of a week as days that begin at an hour."""
    return np.roll(week, -shift).reshape(DAYS, HOURS)


def _day_differences(votes: Floats, bad: Floats, share: float, shift: int) -> float:
    """How much days differ that begin at an hour: days of other time zones differ most there."""
    made, wrong = _from(votes, shift).sum(1), _from(bad, shift).sum(1)
    chi = float(((wrong - made * share) ** 2 / np.maximum(made * share * (1 - share), 1e-9)).sum())
    return chi - (SHIFTED if shift else 0.0)


def _grouped(week: Floats, shape: tuple[int, int]) -> Floats:
    days, parts = shape
    kept: Floats = week.reshape(days, DAYS // days, parts, HOURS // parts).sum((1, 3))
    return kept


def _spread(groups: Floats) -> Floats:
    days, parts = groups.shape
    return np.repeat(np.repeat(groups, DAYS // days, 0), HOURS // parts, 1)


@dataclass(slots=True)
class Reference:
    """The reference that votes are compared with.

    Attributes:
        votes: Votes that the level is known from.
        bad: Bad ones among them.
        cells: Votes, and bad ones among them, by hour of the week; they go on growing.
        days: The latest days, which are not among `cells` yet: number of the day, and votes and
            bad ones by hour.
    """

    votes: float = 0.0
    bad: float = 0.0
    cells: list[tuple[float, float]] = field(default_factory=lambda: [(0.0, 0.0)] * CELLS)
    days: list[tuple[int, list[tuple[float, float]]]] = field(default_factory=list)
    _factors: Floats | None = None

    @property
    def rate(self) -> float:
        """The share of bad votes."""
        return min(max((self.bad + 1) / (self.votes + 2), SMALLEST), LARGEST)

    def count(self, time: float, *, bad: bool) -> None:
        """A vote of the time while the level is learnt."""
        self.votes, self.bad = self.votes + 1, self.bad + bad
        self._count(cell_of(time), 1.0, float(bad))

    def grow(self, time: float, begun: float, *, bad: bool) -> None:
        """Learn from a later vote: about the hours of the week, not about the level.

        Args:
            time: Unix seconds of its prediction.
            begun: Unix seconds of the first prediction whose votes look worse; later ones
                teach nothing.
            bad: Whether the vote is bad.
        """
        day, hour = int(time // DAY), int(time % DAY // HOUR)
        if not self.days or self.days[-1][0] < day:
            self.days.append((day, [(0.0, 0.0)] * HOURS))
            known = min(day - LAG_DAYS, int(begun // DAY) - 1)
            while self.days[0][0] <= known or len(self.days) > MOST_DAYS:
                old, hours = self.days.pop(0)
                for number, (votes, wrong) in enumerate(hours):
                    self._count((old * HOURS + number) % CELLS, votes, wrong)
        hours = self.days[-1][1]
        hours[hour] = hours[hour][0] + 1, hours[hour][1] + bad

    def excess(self, begun: float) -> float:
        """The excess of bad votes over the same hours of the week, in standard errors.

        Infinite where too few votes of these hours are known.

        Args:
            begun: Unix seconds; votes of the latest days from then on are compared.
        """
        known, latest = np.array(self.cells, float), np.zeros((CELLS, 2))
        for day, hours in self.days:
            for number, counts in enumerate(hours):
                hour = day * HOURS + number
                (latest if hour >= begun // HOUR else known)[hour % CELLS] += counts
        votes, bad = latest.T
        here = votes > 0
        before, wrong = known[here].T
        if before.sum() < FEWEST:
            return math.inf
        share = (wrong + self.rate) / (before + 1)
        expected = float((votes[here] * share).sum())
        mean = expected / float(votes.sum())
        unsure = float((votes[here] ** 2 / (before + 1)).sum()) / float(votes.sum())
        spread = expected * (1 - mean) * (1 + unsure)
        return (float(bad.sum()) - expected) / math.sqrt(max(spread, 1e-9))

    def forget_latest(self) -> None:
        """Leave the latest days out: they were not as they should be."""
        self.days = []

    def rate_at(self, time: float) -> float:
        """The share of bad votes that is expected of predictions of this moment."""
        if self._factors is None:
            self._factors = expected_factors(*np.array(self.cells, float).T)
        return min(max(self.rate * float(self._factors[cell_of(time)]), SMALLEST), LARGEST)

    def _count(self, cell: int, votes: float, bad: float) -> None:
        known = self.cells[cell]
        self.cells[cell] = known[0] + votes, known[1] + bad
        self._factors = None

    def to_json(self) -> dict[str, Any]:
        """To go on after a restart."""
        return {"votes": self.votes, "bad": self.bad, "cells": self.cells, "days": self.days}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Reference:
        """The reverse of `to_json`."""
        cells = [tuple(one) for one in content["cells"]]
        days = [(day, [tuple(one) for one in hours]) for day, hours in content["days"]]
        return cls(content["votes"], content["bad"], cells, days)
