"""From when on an answer is slow."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import pytest

from penstock.monitoring.metrics.layout import SECONDS
from penstock.server.rollout.slow_limit import MOST, SlowLimit


class Stable:
    """Its latency histogram."""

    def __init__(self):
        self.counts = [0] * (len(SECONDS) + 1)

    def answers(self, latencies):
        for one in latencies:
            self.counts[bisect_left(SECONDS, one)] += 1

    def limit(self, first=0.0, factor=2.0, objective=0.0):
        return SlowLimit(first, factor, objective, lambda: self.counts)


def test_until_enough_is_known_the_first_limit_holds():
    stable = Stable()
    limit = stable.limit(first=0.3)
    assert limit.at(0.0) == 0.3
    stable.answers([0.002] * 100)
    assert limit.at(10.0) == 0.3
    assert stable.limit().at(0.0) == 0.0


def test_it_follows_stable_and_leaves_healthy_answers_alone():
    random, stable = np.random.default_rng(1), Stable()
    limit = stable.limit()
    limit.at(0.0)
    slow = 0
    for second in range(1, 240):
        load = 1.0 if second < 120 else 5.0  # an hour of high load
        latencies = load * random.lognormal(np.log(0.004), 0.3, 100)
        if second > 10 and not 120 <= second < 180:
            slow += sum(latencies > limit.at(float(second)))
        else:
            limit.at(float(second))
        stable.answers(latencies)
    assert limit.value > 0.04
    assert slow / (100 * 170) < 0.002  # a fixed 99th percentile makes it 1 %


@pytest.mark.parametrize(("objective", "expected"), [(0.0, 0.01), (0.5, 0.5)])
def test_what_is_within_the_objective_is_never_slow(objective, expected):
    stable = Stable()
    limit = stable.limit(objective=objective)
    limit.at(0.0)
    stable.answers([0.005] * 1000)
    assert limit.at(2.0) == pytest.approx(expected, rel=0.02)


def test_it_grows_no_further_than_a_multiple_of_the_first():
    stable = Stable()
    limit = stable.limit(first=0.01)
    limit.at(0.0)
    stable.answers([5.0] * 1000)
    assert limit.at(2.0) == pytest.approx(MOST * 0.01)


def test_a_fixed_limit_stays():
    stable = Stable()
    limit = stable.limit(first=0.01, factor=0.0)
    stable.answers([5.0] * 1000)
    assert limit.at(1000.0) == 0.01
