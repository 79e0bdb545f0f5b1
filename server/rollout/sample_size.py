"""How many requests an A/B comparison takes, for one look at the end or for any number of looks.

Rates, one look (J. Fleiss, B. Levin, M. Paik, Statistical Methods for Rates and Proportions, 3rd
edition, chapter 4, without correction for continuity), with the share w of the candidate, rates p
and q = p + d, and m = (1 - w) p + w q:

    N = (z(1 - alpha / 2) sqrt(m (1 - m) / (w (1 - w)))
         + z(power) sqrt(p (1 - p) / (1 - w) + q (1 - q) / w))^2 / d^2

Means, one look, with the standard deviation s in both arms:

    N = (z(1 - alpha / 2) + z(power))^2 s^2 / (w (1 - w)) / d^2

Rates, any number of looks: the smallest N at which the intervals of ``penstock ab result`` have
excluded 0 by then with the probability `power`. The evidence at the expected counts is computed
(`penstock.server.rollout.difference_interval`). Its way there is taken for a Brownian motion with
drift, whose first passage of a bound is known (J. Doob 1949).

Means, any number of looks: a normal mixture that is tightest at N (I. Waudby-Smith and others, Time
uniform central limit theory, arXiv 2103.06476, theorem 2.2 and appendix B.2), which replaces
z(1 - alpha / 2) by

    sqrt(2 (1 + 1 / r) ln(sqrt(1 + r) / alpha)),   r = 2 ln(1 / alpha) + ln(1 + 2 ln(1 / alpha))

The server has no means of its own; use the same mixture for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

from penstock.server.errors import InvalidRequest

from .difference_interval import Cells, bets_on_difference

if TYPE_CHECKING:
    from collections.abc import Callable

_NORMAL: Final = NormalDist()
#: More requests than any server has.
MOST: Final = 10**15


@dataclass(frozen=True, slots=True)
class Design:
    """The difference that a comparison has to find, and its error rates.

    Attributes:
        difference: Between both arms; not 0.
        share: Share of the candidate in requests, between 0 and 1.
        alpha: Probability, at most, of telling a difference that is not there; 0 to 0.5.
        power: Probability of telling this difference; 0.5 to 1.
    """

    difference: float
    share: float = 0.5
    alpha: float = 0.05
    power: float = 0.8


@dataclass(frozen=True, slots=True)
class Sizes:
    """Requests of both arms together.

    Attributes:
        fixed: If the result is read once, at that number of requests.
        anytime: If it may be read at any time.
    """

    fixed: int
    anytime: int


def size_of_rates(rate: float, design: Design) -> Sizes:
    """Requests that tell a difference of rates.

    Args:
        rate: Of stable, between 0 and 1.
        design: Its difference leaves the other rate between 0 and 1, too.

    Raises:
        InvalidRequest: A figure is out of its range, or no number of requests is enough.
    """
    _check(design)
    other = rate + design.difference
    if not (0.0 < rate < 1.0 and 0.0 < other < 1.0):
        raise InvalidRequest(
            f"the rates are {rate:g} and {other:g}; expected both between 0 and 1, not included"
        )
    w = design.share
    mean = (1.0 - w) * rate + w * other
    alike = math.sqrt(mean * (1.0 - mean) / (w * (1.0 - w)))
    apart = math.sqrt(rate * (1.0 - rate) / (1.0 - w) + other * (1.0 - other) / w)
    sure, strong = _NORMAL.inv_cdf(1.0 - design.alpha / 2.0), _NORMAL.inv_cdf(design.power)
    fixed = ((sure * alike + strong * apart) / design.difference) ** 2
    return Sizes(_whole(fixed), _smallest(lambda size: _told(size, rate, design) >= design.power))


def size_of_means(deviation: float, design: Design) -> Sizes:
    """Requests that tell a difference of means.

    Args:
        deviation: Standard deviation in each arm, above 0.
        design: The difference to find.

    Raises:
        InvalidRequest: A figure is out of its range.
    """
    _check(design)
    if not (deviation > 0.0 and math.isfinite(deviation)):
        raise InvalidRequest(f"the deviation is {deviation:g}, expected a number above 0")
    spread = deviation / math.sqrt(design.share * (1.0 - design.share)) / design.difference
    strong = _NORMAL.inv_cdf(design.power)
    fixed = ((_NORMAL.inv_cdf(1.0 - design.alpha / 2.0) + strong) * spread) ** 2
    anytime = ((mixture_quantile(design.alpha) + strong) * spread) ** 2
    return Sizes(_whole(fixed), _whole(anytime))


def mixture_quantile(alpha: float) -> float:
    """Half the width of the normal mixture where it is tightest, in standard errors.

    Args:
        alpha: Probability, at most, that it is ever wrong.
    """
    doubt = 2.0 * math.log(1.0 / alpha)
    r = doubt + math.log(1.0 + doubt)
    return math.sqrt(2.0 * (1.0 + 1.0 / r) * math.log(math.sqrt(1.0 + r) / alpha))


def _told(size: float, rate: float, design: Design) -> float:
    """Probability that the interval has excluded 0 at some of the first so many requests."""
    w, p, q = design.share, rate, rate + design.difference
    if design.difference < 0.0:  # the same with the arms exchanged
        w, p, q = 1.0 - w, q, p
    cells = Cells((1.0 - w) * p, (1.0 - w) * (1.0 - p), w * q, w * (1.0 - q)).counts
    centre = (1.0 - w) * p + w * q
    values = (-(1.0 - centre) / (1.0 - w), centre / (1.0 - w), (1.0 - centre) / w, -centre / w)
    variance = math.fsum(c * (z - q + p) ** 2 for c, z in zip(cells, values, strict=True))
    drift = (q - p) * math.sqrt(size / variance)
    evidence = bets_on_difference(w).log_evidence([size * one for one in cells], 0.0)
    # What the best bet has at least to own by itself, as the others own less than it on average.
    bound = math.log(2.0 / design.alpha) + drift * drift / 2.0 - float(evidence[0])
    first, again = drift / 2.0 - bound / drift, -drift / 2.0 - bound / drift
    # Of a Brownian motion with that drift: J. Doob 1949.
    return _NORMAL.cdf(first) + math.exp(min(bound, 700.0)) * _NORMAL.cdf(again)


def _smallest(enough: Callable[[float], bool]) -> int:
    high = 1
    while not enough(high):
        high *= 2
        if high > MOST:
            raise InvalidRequest(
                "no number of requests tells so small a difference; expected a larger one"
            )
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _whole(size: float) -> int:
    if size > MOST:
        raise InvalidRequest(
            "no number of requests tells so small a difference; expected a larger one"
        )
    return math.ceil(size)


def _check(design: Design) -> None:
    """Check the ranges of a design.

    Raises:
        InvalidRequest: A figure is out of its range.
    """
    if not design.difference or not math.isfinite(design.difference):
        raise InvalidRequest(f"the difference is {design.difference:g}, expected another than 0")
    for name, value, low, high in (
        ("share", design.share, 0.0, 1.0),
        ("alpha", design.alpha, 0.0, 0.5),
        ("power", design.power, 0.5, 1.0),
    ):
        if not low < value < high:
            raise InvalidRequest(f"the {name} is {value:g}, expected between {low:g} and {high:g}")
