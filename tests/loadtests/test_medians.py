import numpy as np
import pytest

from penstock.loadtests.medians import median_interval


def test_few_values_give_their_whole_range():
    assert median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    assert median_interval([5.0]) == (5.0, 5.0)


def test_known_ranks():
    # Binomial tables: 2nd and 9th of 10 cover 97.9 %, 6th and 15th of 20 cover 95.9 %.
    assert median_interval(range(10)) == (1, 8)
    assert median_interval(range(20)) == (5, 14)


@pytest.mark.parametrize("count", [8, 20])
def test_it_covers_the_median_as_often_as_it_says(count):
    draws = np.random.default_rng(7).exponential(size=(2000, count))
    bounds = np.array([median_interval(one) for one in draws])
    covered = np.mean((bounds[:, 0] <= np.log(2)) & (np.log(2) <= bounds[:, 1]))
    assert 0.94 <= covered <= 1.0
