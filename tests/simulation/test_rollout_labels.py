"""Labels as evidence of rollouts: they come late, unequally, and many for one request.

``pytest tests/simulation/test_rollout_labels.py -s`` prints the rates in docs/trust.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rollout_traffic import new_rollout
from test_rollouts import said

from penstock.server.rollout.counts import ArmCounts, Counts, StepLabels
from penstock.server.rollout.decision import decide
from penstock.server.rollout.evidence import labels_held, score_change
from penstock.server.rollout.snapshot import Snapshot

CHECK_SECONDS = 5.0
RATE = 100.0


@dataclass(frozen=True)
class Labels:
    """How predictions are labelled.

    Attributes:
        wrong: Share of wrong answers, of stable and of the candidate.
        labelled: Share of answers whose truth becomes known, of both.
        delay_seconds: Mean time until then.
    """

    wrong: tuple[float, float] = (0.1, 0.1)
    labelled: tuple[float, float] = (0.3, 0.3)
    delay_seconds: float = 40.0


def ramp(number, labels, seconds=200.0):
    """The rollout after a ramp; every request has a label of its own, or none."""
    random, rollout, now = np.random.default_rng([3, number]), new_rollout(number), 0.0
    requests = [0, 0]
    known = {}  # by step: for each arm, when labels arrive, and whether the answer was wrong
    rollout = decide(rollout, Snapshot(epoch="run", ready=True), now).rollout
    while now < seconds and not rollout.final:
        total = random.poisson(RATE * CHECK_SECONDS)
        canary = random.binomial(total, rollout.percent / 100.0)
        step = known.setdefault(rollout.steps[-1].began_at, [[], []])
        for arm, count in enumerate((total - canary, canary)):
            requests[arm] += count
            told = random.binomial(count, labels.labelled[arm])
            arrival = now + random.exponential(labels.delay_seconds, told)
            step[arm].append((arrival, random.random(told) < labels.wrong[arm]))
        now += CHECK_SECONDS
        counts = Counts(ArmCounts(requests[0]), ArmCounts(requests[1]))
        found = tuple(
            StepLabels(began_at, *(told_by(now, arm) for arm in arms))
            for began_at, arms in known.items()
        )
        look = Snapshot(counts, "run", ready=True, percent=rollout.percent, labels=found)
        rollout = decide(rollout, look, now).rollout
    return rollout


def told_by(now, arm):
    arrived = [(times <= now, wrong) for times, wrong in arm]
    labelled = sum(int(here.sum()) for here, _ in arrived)
    return labelled, sum(int((here & wrong).sum()) for here, wrong in arrived)


def aborted(ramps):
    return sum(one.phase == "aborted" for one in ramps)


def test_a_candidate_that_is_as_good_is_not_rolled_back_by_late_labels():
    ramps = [ramp(number, Labels()) for number in range(200)]
    assert said("late labels, as good", aborted(ramps), 200) <= 0.05
    assert sum(bool(labels_held(one)) for one in ramps) <= 20


def test_a_candidate_that_is_labelled_twice_as_often_is_not_rolled_back():
    ramps = [ramp(number, Labels(labelled=(0.3, 0.6))) for number in range(200)]
    assert said("labelled twice as often, as good", aborted(ramps), 200) <= 0.05
    assert sum("not labelled alike" in labels_held(one) for one in ramps) >= 190


def test_a_candidate_that_is_wrong_more_often_is_found_though_labels_come_a_step_late():
    ramps = [ramp(number, Labels(wrong=(0.1, 0.2))) for number in range(100)]
    said("wrong twice as often, labels late", aborted(ramps), 100)
    assert aborted(ramps) >= 80


def score_ramp(number, shift=0.0, kept=(1.0, 1.0)):
    """The highest evidence for another distribution of scores in a ramp, and the last."""
    random, rollout, now = np.random.default_rng([4, number]), new_rollout(number), 0.0
    edges = np.quantile(random.normal(size=500), np.arange(1, 10) / 10)
    known, requests, highest = {}, [0, 0], 0.0
    rollout = decide(rollout, Snapshot(epoch="run", ready=True), now).rollout
    while now < 200.0 and not rollout.final and rollout.phase != "held":
        total = random.poisson(RATE * CHECK_SECONDS)
        canary = random.binomial(total, rollout.percent / 100.0)
        bins = known.setdefault(rollout.steps[-1].began_at, np.zeros((10, 2), int))
        for arm, count in enumerate((total - canary, canary)):
            requests[arm] += count
            scores = random.normal(arm * shift, size=random.binomial(count, kept[arm]))
            bins[:, arm] += np.bincount(np.searchsorted(edges, scores), minlength=10)
        now += CHECK_SECONDS
        found = tuple(
            StepLabels(began_at, scores=tuple(map(tuple, bins.tolist())))
            for began_at, bins in known.items()
        )
        counts = Counts(ArmCounts(requests[0]), ArmCounts(requests[1]))
        look = Snapshot(counts, "run", ready=True, percent=rollout.percent, labels=found)
        rollout = decide(rollout, look, now).rollout
        highest = max(highest, score_change(rollout))
    return rollout, highest


def test_equal_scores_hold_no_canary_whether_both_arms_are_sampled_alike_or_not():
    for kept in ((1.0, 1.0), (0.5, 0.9)):
        held = sum(score_ramp(number, kept=kept)[0].phase == "held" for number in range(100))
        assert said(f"scores as before, sampled {kept}, held", held, 100) <= 0.09
        assert held <= 5


def test_shifted_scores_hold_a_canary():
    held = sum(score_ramp(number, 0.5)[0].phase == "held" for number in range(40))
    said("scores shifted by half a deviation, held", held, 40)
    assert held >= 39
