from __future__ import annotations

import math

import pytest

from penstock.server.errors import InvalidRequest
from penstock.server.rollout.sample_size import (
    Design,
    mixture_quantile,
    size_of_means,
    size_of_rates,
)


def test_one_look_at_the_end_takes_what_textbooks_say():
    assert size_of_rates(0.6, Design(0.1)).fixed == pytest.approx(2 * 356, abs=1)
    assert size_of_rates(0.05, Design(0.05)).fixed == pytest.approx(2 * 435, abs=1)
    assert size_of_means(1.0, Design(0.5)).fixed == pytest.approx(2 * 63, abs=1)
    assert size_of_means(10.0, Design(5.0, power=0.9)).fixed == pytest.approx(2 * 84.1, abs=1)


def test_the_arms_may_be_exchanged():
    up = size_of_rates(0.02, Design(0.01, share=0.2))
    down = size_of_rates(0.03, Design(-0.01, share=0.8))
    assert up == down
    assert size_of_means(2.0, Design(0.1)) == size_of_means(2.0, Design(-0.1))


@pytest.mark.parametrize("rate", [0.001, 0.03, 0.4])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_looking_at_any_time_takes_up_to_three_times_as_many(rate, share):
    sizes = size_of_rates(rate, Design(rate / 2, share))
    assert sizes.fixed < sizes.anytime <= 3 * sizes.fixed


def test_a_smaller_difference_more_power_or_less_doubt_takes_more():
    one = size_of_rates(0.05, Design(0.02))
    for design in (Design(0.01), Design(0.02, power=0.9), Design(0.02, alpha=0.01)):
        more = size_of_rates(0.05, design)
        assert more.fixed > one.fixed
        assert more.anytime > one.anytime


def test_the_mixture_is_tightest_where_it_is_said_to_be():
    """Theorem 2.2 of arXiv 2103.06476, whose parameter rho^2 N is r here, tried beside it."""
    alpha = 0.05
    doubt = 2 * math.log(1 / alpha)
    r = doubt + math.log(1 + doubt)

    def width(part):
        return math.sqrt(2 * (1 + 1 / part) * math.log(math.sqrt(1 + part) / alpha))

    assert mixture_quantile(alpha) == pytest.approx(width(r))
    assert width(r) == pytest.approx(min(width(r * (0.5 + n / 100)) for n in range(151)), rel=1e-3)


@pytest.mark.parametrize(
    ("rate", "design", "words"),
    [
        (0.02, Design(0.0), "difference is 0"),
        (0.02, Design(-0.02), "both between 0 and 1"),
        (0.9, Design(0.2), "both between 0 and 1"),
        (0.02, Design(0.01, share=1.0), "share is 1"),
        (0.02, Design(0.01, alpha=0.0), "alpha is 0"),
        (0.02, Design(0.01, power=0.3), "power is 0.3"),
        (0.02, Design(math.nan), "difference is nan"),
        (0.5, Design(1e-12), "no number of requests"),
    ],
)
def test_figures_that_make_no_sense_are_named(rate, design, words):
    with pytest.raises(InvalidRequest, match=words):
        size_of_rates(rate, design)


@pytest.mark.parametrize("deviation", [0.0, -1.0, math.inf, math.nan])
def test_so_is_a_deviation(deviation):
    with pytest.raises(InvalidRequest, match="deviation"):
        size_of_means(deviation, Design(0.1))
