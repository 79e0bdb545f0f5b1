"""How much the windows of a healthy feature differ from each other, beside independent rows. Pure.

Traffic has a day and a week, and rows that follow each other are alike: the population that a
window is drawn from differs from window to window. The statistic of a window of ``e`` effective
rows then has the mean ``d + m e`` and the variance ``2 d + 4 m e + v e^2``, where ``d`` are its
degrees of freedom and ``m`` and ``v`` are the mean and the variance, over healthy windows, of the
noncentrality for each effective row. Both are measured from windows compared with the others among
them, not with the baseline, so that a shift that is always there is not taken for variation.

A scaled chi-square of the same mean and variance (Satterthwaite 1946) is the law of the statistic;
because its scale is an estimate from few independent stretches of time, the ratio has Fisher's F.
Its far tail is not to be trusted where it was never seen: no window is unusual that is not further
away than twice the furthest healthy one, and more where windows hang together or few independent
stretches were seen. A cycle that came back is different: its extremes are known, so a window is
compared with the furthest of them, by the noncentral chi-square distribution. Where something
beside the cycle did not come back, its distance, so many times as large, is added to that of the
cycle: by the triangle inequality no sum of both is further away.

A window of the future is further from the mean of ``n`` independent stretches than these are from
each other, by ``(n + 1) / (n - 1)``; how many there are says `dependence`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.probability import (
    chi_square_survival,
    f_survival,
    noncentral_chi_square_survival,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .components import Statistic

#: Independent stretches below which no window can be called unusual.
LEAST_STRETCHES: Final = 3.0
#: An unusual window is so many times as far away as the furthest healthy one,
_FACTOR: Final = 2.0
#: and more by this over the number of stretches,
_FEW: Final = 20.0
#: where fewer than this count as this,
_FEWEST: Final = 1.0
#: and by this for each unit of correlation of windows that follow each other.
_MEMORY: Final = 3.0
#: How much further than the furthest of a cycle so far a healthy window may be.
_CYCLE: Final = 1.1
#: Windows after the baseline, against those in it, from which on they say more of it.
_PROLONGED: Final = 3.0
#: Correlation of two windows below which the first says nothing of the second.
_FORGOTTEN: Final = 0.1
_LONGEST_APART: Final = 48


@dataclass(frozen=True, slots=True)
class Variation:
    """Of one test of one feature.

    Attributes:
        mean: Noncentrality for each effective row, over healthy windows; 0 or more.
        variance: Of it; 0 or more.
        stretches: Independent stretches of time that were seen; above 0, and less than 1 where a
            part of one was.
        memory: Correlation of windows that follow each other; between 0 and 1.
        most: Noncentrality for each effective row of the furthest healthy window, by this test if
            it has a period, else by any; 0 or more.
        period: Windows after which they come back to what they were, as in a cycle of days; 0 if
            they do not.
        wander: If it has a period, the noncentrality for each effective row of the window that came
            back least, by any test; 0 if all came back.
    """

    mean: float
    variance: float
    stretches: float
    memory: float = 0.0
    most: float = 0.0
    period: int = 0
    wander: float = 0.0

    @property
    def known(self) -> bool:
        """Whether enough independent time was seen to call a window unusual."""
        return self.stretches >= LEAST_STRETCHES

    def inflation(self, degrees: float, effective_rows: float) -> float:
        """Mean of the statistic of healthy windows this large, over its mean by chance alone."""
        return 1.0 + self.mean * self._beyond * effective_rows / degrees

    def p_value(self, statistic: Statistic, effective_rows: float) -> float:
        """Probability of a statistic like this, or larger, of a healthy window."""
        if not self.known:  # only what is beyond all that was seen
            furthest = max(self._furthest_of_cycle, self.factor * self.most) * effective_rows
            return noncentral_chi_square_survival(statistic.value, statistic.degrees, furthest)
        if self.period:
            furthest = self._furthest_of_cycle * effective_rows
            return noncentral_chi_square_survival(statistic.value, statistic.degrees, furthest)
        if statistic.value - statistic.degrees <= self.factor * self.most * effective_rows:
            return 1.0
        mean = self.mean * self._beyond * effective_rows
        spread = self.variance * (self._beyond * effective_rows) ** 2
        expected = statistic.degrees + mean
        variance = 2 * statistic.degrees + 4 * mean + spread
        degrees = 2 * expected * expected / variance
        return f_survival(statistic.value / expected, degrees, degrees * self.stretches)

    @property
    def factor(self) -> float:
        """How many times as far as the furthest healthy window an unusual one is."""
        return _FACTOR + _FEW / max(self.stretches, _FEWEST) + _MEMORY * self.memory

    @property
    def recurs(self) -> bool:
        """Whether windows come back to what they were, and nothing of them wanders."""
        return self.period > 0 and not self.wander

    @property
    def _furthest_of_cycle(self) -> float:
        # Distances add up at most: that of the cycle, and that of what wanders.
        return float((math.sqrt(_CYCLE * self.most) + math.sqrt(self.factor * self.wander)) ** 2)

    @property
    def chance(self) -> float:
        """Probability, roughly, that a healthy window is so far away.

        One of the stretches was the furthest; beyond it the tail is taken for exponential.
        """
        return 0.0 if self.recurs else float(max(self.stretches, 1.0) ** -self.factor)

    @property
    def _beyond(self) -> float:
        return (self.stretches + 1) / (self.stretches - 1) if self.known else 1.0


#: By the name of the test; empty if windows vary as chance has it.
Variations = dict[str, Variation]


def known(variations: Variations) -> bool:
    """Whether enough independent time was seen to call a window of the feature unusual."""
    return all(one.known for one in variations.values())


def long_enough(baseline: Variations, windows: int) -> bool:
    """Whether so many windows after a baseline can say more of it, see `prolonged`."""
    return all(windows >= _PROLONGED * _number(one) for one in baseline.values())


def _number(one: Variation) -> float:
    """Windows that were seen, by what is known of them; at most."""
    return one.stretches * (1 + one.memory) / (1 - one.memory)


def prolonged(baseline: Variations, windows: Variations) -> Variations:
    """The variation of a baseline that was too short to tell, as the windows after it show it.

    How windows hang together, and how far apart they are, is known better then. The baseline has
    as many independent stretches as that says of its own time, and no more.

    Args:
        baseline: Measured within it, not `known`.
        windows: Measured among all windows since then.
    """
    found = {}
    for name, one in windows.items():
        before = baseline.get(name)
        if before is None or one.recurs:
            return baseline
        number = _number(before)
        if _number(one) < _PROLONGED * number:
            return baseline
        own = number * (1 - one.memory) / (1 + one.memory)
        furthest = max(one.most, before.most)
        found[name] = replace(one, stretches=min(one.stretches, own), most=furthest)
    return found if found.keys() == baseline.keys() and known(found) else baseline


def windows_apart(variations: Mapping[str, Variation]) -> int:
    """Windows after which all has been seen that windows show: a cycle, or a stretch that wanders.

    A shift in a cycle is seen at some of its places only, and what wanders comes back to a limit
    several times.

    Returns:
        1 if windows are independent.
    """
    memory = max((one.memory for one in variations.values()), default=0.0)
    period = max((one.period for one in variations.values()), default=0)
    if memory <= _FORGOTTEN:
        return max(1, period)
    apart = math.ceil(min(_LONGEST_APART, math.log(_FORGOTTEN) / math.log(memory)))
    return max(apart, period)


def p_value(
    name: str, statistic: Statistic, effective_rows: float, variations: Mapping[str, Variation]
) -> float:
    """Probability of a statistic like this when nothing has changed.

    Args:
        name: Of the test.
        statistic: Its result.
        effective_rows: Of the comparison.
        variations: What was measured of the feature.
    """
    one = variations.get(name)
    if one is None and variations:  # no healthy window could be tested so, but windows do vary
        one = max(variations.values(), key=lambda other: other.most)
    if one is None:
        return chi_square_survival(statistic.value, statistic.degrees)
    return one.p_value(statistic, effective_rows)


def to_json(variations: Mapping[str, Variation]) -> dict[str, list[float | bool]]:
    """As JSON. What an earlier release could say is written as it was: ids of baselines stay."""
    return {
        name: [one.mean, one.variance, one.stretches, one.memory, one.most, *_cycle_of(one)]
        for name, one in variations.items()
    }


def _cycle_of(one: Variation) -> list[float | bool]:
    # An earlier release knew only whether windows come back, which is read as a period of 1.
    return [one.period, one.wander] if one.period > 1 or one.wander else [one.period > 0]


def from_json(content: Mapping[str, Any]) -> Variations:
    """The reverse of `to_json`.

    Raises:
        ValueError, TypeError: It is something else.
    """
    found = {
        str(name): Variation(
            float(mean),
            float(variance),
            float(stretches),
            float(memory),
            float(most),
            int(cycle),
            float(*wander) if wander else 0.0,
        )
        for name, (mean, variance, stretches, memory, most, cycle, *wander) in content.items()
    }
    if not all(map(_possible, found.values())):
        raise ValueError(f"the variation {content!r} is none")
    return found


def _possible(one: Variation) -> bool:
    # What wanders slowly shows a part of a stretch only.
    figures = one.mean, one.variance, one.stretches, one.most, one.period, one.wander
    known = all(0 <= figure < math.inf for figure in figures)
    return known and one.stretches > 0 and 0 <= one.memory < 1
