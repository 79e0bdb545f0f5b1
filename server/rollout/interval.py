"""Intervals, and bounds of a rate at one fixed time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Halvings of a bracket: far below what a count can tell.
_HALVINGS: Final = 60
#: Up to so many hits their probability is added up term by term.
_EXACT_HITS: Final = 200
#: e to this power is still a float.
_LEAST: Final = -700.0


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, both included."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the value lies in the interval."""
        return self.low <= value <= self.high


def upper_rate(hits: int, trials: int, miss: float = 0.05) -> float:
    """An upper bound of a rate that fails with probability `miss` at most, at one fixed time.

    Clopper and Pearson's: the largest rate at which so few hits are still as likely as `miss`; with
    many hits Chernoff's, which is a little larger: ``trials * KL(hits / trials, p) <= ln(1 /
    miss)``. Without hits and with 95 % it is about 3 / trials. 1 without trials.
    """
    if trials <= 0 or hits >= trials:
        return 1.0
    rate, budget = hits / trials, math.log(1.0 / miss) / trials
    chernoff = _edge(rate, 1.0, lambda p: _divergence(rate, p) <= budget)
    if hits > _EXACT_HITS or trials * math.log1p(-chernoff) < _LEAST:
        return chernoff
    return _edge(rate, chernoff, lambda p: _at_most(hits, trials, p) >= miss)


@lru_cache(maxsize=4096)
def most_hits(trials: int, limit: float, miss: float = 0.05) -> int:
    """The reverse of `upper_rate`: the most hits whose bound is within a limit; -1 if none is.

    Args:
        trials: Number of trials.
        limit: A rate between 0 and 1, not included.
        miss: As in `upper_rate`.
    """
    none = trials * math.log1p(-limit)
    if trials <= 0 or none > math.log(miss):
        return -1
    if none >= _LEAST:
        term, odds = math.exp(none), limit / (1.0 - limit)
        total = 0.0
        for hits in range(_EXACT_HITS + 1):
            total += term
            if total > miss:
                return hits - 1
            term *= (trials - hits) / (hits + 1) * odds
    low, high, budget = _EXACT_HITS, trials, math.log(1.0 / miss) / trials
    while high - low > 1:
        middle = (low + high) // 2
        rate = middle / trials
        within = rate < limit and _divergence(rate, limit) >= budget
        low, high = (middle, high) if within else (low, middle)
    return low


def _edge(inside: float, outside: float, holds: Callable[[float], bool]) -> float:
    """The point where `holds` becomes false, rounded to the outside."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2.0
        if holds(middle):
            inside = middle
        else:
            outside = middle
    return outside


def _at_most(hits: int, trials: int, p: float) -> float:
    """Probability of so many hits or fewer."""
    term = math.exp(trials * math.log1p(-p))
    total, odds = term, p / (1.0 - p)
    for hit in range(hits):
        term *= (trials - hit) / (hit + 1) * odds
        total += term
    return total


def _divergence(rate: float, p: float) -> float:
    """Kullback-Leibler divergence of one Bernoulli trial."""
    if p >= 1.0:
        return math.inf
    hit = rate * math.log(rate / p) if rate else 0.0
    return hit + (1.0 - rate) * math.log((1.0 - rate) / (1.0 - p))
