"""Ramps whose candidate scores one segment of 50 differently; the rates are in docs/trust.md.

``pytest tests/simulation/test_segment_scores.py -s`` prints the measured rates with 95 % intervals.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rollout_traffic import TERMS, new_rollout
from test_rollouts import quantiles, said

from penstock.server.rollout.counts import ArmCounts, Counts, StepLabels
from penstock.server.rollout.decision import decide
from penstock.server.rollout.evidence import score_change
from penstock.server.rollout.segment_bins import side_by_side
from penstock.server.rollout.snapshot import Snapshot

#: Segments of equal size: each has 2 % of the traffic.
SEGMENTS = 50
CHECK_SECONDS = 5.0
#: Steps of 30 s each at 1, 5, 25 and 50 %.
RAMP = replace(TERMS, segments=("country",), fallback=False)
#: Fifths of all scores, as the monitor learns them.
EDGES = np.quantile(np.random.default_rng(5).normal(size=500), np.arange(1, 10) / 10)


def ramp(number, shift=0.0, rate=100.0, apart=0.5, kept=(1.0, 1.0)):
    """The rollout after a ramp, and the requests until then.

    Args:
        number: Seed.
        shift: Of the candidate's scores in the first segment, in standard deviations.
        rate: Requests a second.
        apart: Standard deviation of the means of the segments.
        kept: Part of the requests of stable and of the candidate that is sampled.
    """
    random, rollout, now = np.random.default_rng([6, number]), new_rollout(number, RAMP), 0.0
    means = apart * random.normal(size=SEGMENTS)
    rollout = decide(rollout, Snapshot(epoch="run", ready=True), now).rollout
    known, requests = {}, np.zeros(2, int)
    while now < 200.0 and not rollout.final and rollout.phase != "held":
        total = random.poisson(rate * CHECK_SECONDS)
        canary = random.binomial(total, rollout.percent / 100.0)
        bins = known.setdefault(rollout.steps[-1].began_at, np.zeros((2, SEGMENTS, 10), int))
        for arm, count in enumerate((total - canary, canary)):
            requests[arm] += count
            segments = random.integers(0, SEGMENTS, random.binomial(count, kept[arm]))
            scores = random.normal(means[segments] + arm * shift * (segments == 0))
            np.add.at(bins[arm], (segments, np.searchsorted(EDGES, scores)), 1)
        now += CHECK_SECONDS
        look = Snapshot(
            Counts(*(ArmCounts(int(one)) for one in requests)),
            "run",
            ready=True,
            percent=rollout.percent,
            labels=tuple(_told(at, one) for at, one in known.items()),
        )
        rollout = decide(rollout, look, now).rollout
    return rollout, int(requests.sum())


def _told(began_at, bins):
    """What the monitor counts: tenths of all traffic, and fifths by segment."""
    whole = tuple(map(tuple, bins.sum(axis=1).T.tolist()))
    fifths = bins.reshape(2, SEGMENTS, 5, 2).sum(axis=3).tolist()
    arms = ({f"country={n}": tuple(one) for n, one in enumerate(arm)} for arm in fifths)
    return StepLabels(began_at, scores=whole, segment_scores=side_by_side(*arms))


def held(ramps):
    return [one for one in ramps if one[0].phase == "held" and one[0].cause == "scores"]


def test_equal_scores_in_fifty_segments_hold_no_canary():
    for kept in ((1.0, 1.0), (0.5, 0.9)):
        found = held([ramp(number, kept=kept) for number in range(40)])
        said(f"fifty segments score alike, sampled {kept}, held", len(found), 40)
        assert len(found) <= 2


def test_other_scores_in_one_segment_hold_a_canary_and_the_segment_is_named():
    for shift, rate in ((2.0, 200.0), (1.0, 600.0)):
        found = held([ramp(number, shift, rate) for number in range(20)])
        said(f"scores of one of fifty moved by {shift} sd, {rate}/s, held", len(found), 20)
        quantiles("requests until then", [requests for _, requests in found])
        assert len(found) >= 18
        assert sum("segment country=0:" in one.reason for one, _ in found) >= 0.9 * len(found)


def test_without_segments_the_same_change_is_not_seen():
    """What segments are for."""
    found = 0
    for number in range(10):
        rollout, _ = ramp(number, 2.0, 200.0)
        steps = tuple(replace(one, segment_scores={}) for one in rollout.steps)
        plain = replace(rollout, terms=replace(rollout.terms, segments=()), steps=steps)
        found += score_change(plain) >= 20
    assert found <= 2
