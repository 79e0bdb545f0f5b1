"""Candidates whose first answers are slow: real decisions, and the real warm-up allowance.

``pytest tests/simulation/test_slow_at_first.py -s`` prints the measured rates with 95 % intervals.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from rollout_traffic import TERMS, Fleet, Traffic
from test_rollouts import ALPHA, RAMP_SECONDS, quantiles, said

from penstock.monitoring.metrics.layout import ARM_REQUESTS
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.traffic import Split
from penstock.server.serving.active_split import SplitMemory

HEALTHY = Traffic(stable={"errors": 0.005, "slow": 0.002})


class Warming(Fleet):
    """The first answers of each candidate are slow; the real allowance says which of them count.

    Args:
        first: So many answers of the candidate are slow.
        options: As of `Fleet`.
    """

    def __init__(self, first, *args, **options):
        super().__init__(*args, **options)
        self._first = first
        self._memories = []
        for rollout in self.rollouts:
            counters = CounterFile.anonymous()
            stable, canary = (SimpleNamespace(counters=counters.model("m", one)) for one in "12")
            terms = rollout.terms
            split = Split(
                rollout.id,
                2,
                1.0,
                warm_up_requests=terms.warm_up_requests,
                warm_up_seconds=terms.warm_up_seconds,
            )
            self._memories.append(SplitMemory(split, stable, canary))
        self.excused = 0

    def _serve(self):
        requests = self.requests[:, 1].copy()
        slow = self.bad["slow"][:, 1].copy()
        super()._serve()
        for number, memory in enumerate(self._memories):
            seconds = self.rollouts[number].terms.warm_up_seconds
            if requests[number] >= self._first and not memory.is_warming_up(self.now, seconds):
                continue
            new = int(self.requests[number, 1] - requests[number])
            late = np.zeros(new, bool)
            late[: int(self.bad["slow"][number, 1] - slow[number])] = True
            self._random.shuffle(late)
            late |= np.arange(requests[number], requests[number] + new) < self._first
            counted = 0
            for place, one in enumerate(late):
                arrival = self.now + self._look * place / new
                if memory.first_arrival is None:
                    memory.first_arrival = arrival
                memory.canary.counters.add(ARM_REQUESTS)
                excused = memory.is_warming_up(arrival, seconds)
                counted += bool(one and not excused)
                self.excused += bool(one and excused)
            self.bad["slow"][number, 1] = slow[number] + counted


@pytest.mark.parametrize("first", [3, 10])
def test_a_candidate_whose_first_answers_are_slow_is_not_rolled_back(first):
    fleet = Warming(first, 120, HEALTHY, seed=11, check_seconds=4.0).run(RAMP_SECONDS)
    assert said(f"first {first} slow, rolled back", fleet.count(Phase.ABORTED), 120) <= ALPHA
    assert fleet.excused >= first * 120


def test_without_an_allowance_it_would_be():
    terms = replace(TERMS, warm_up_requests=0, warm_up_seconds=0.0)
    fleet = Warming(3, 60, HEALTHY, terms, seed=12, check_seconds=0.5).run(60.0)
    said("first 3 slow, no allowance, rolled back", fleet.count(Phase.ABORTED), 60)
    assert fleet.count(Phase.ABORTED) >= 0.8 * 60


@pytest.mark.parametrize("times", [10.0, 500.0])
def test_a_candidate_that_stays_slow_is_rolled_back_in_spite_of_its_allowance(times):
    slow = replace(HEALTHY, canary={"slow": times})
    fleet = Warming(3, 60, slow, seed=13, check_seconds=2.0).run(RAMP_SECONDS)
    said(f"slow x {times:g}, rolled back", fleet.count(Phase.ABORTED), 60)
    quantiles("seconds until then", fleet.ended_at)
    assert fleet.count(Phase.ABORTED) >= 57
