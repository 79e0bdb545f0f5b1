"""Ramps whose candidate does harm in one segment of 50; the rates are in docs/trust.md.

``pytest tests/simulation/test_segments.py -s`` prints the measured rates with 95 % intervals.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from rollout_traffic import TERMS, new_rollout
from test_rollouts import quantiles, said

from penstock.server.rollout.counts import ArmCounts, Counts, StepLabels
from penstock.server.rollout.decision import decide
from penstock.server.rollout.evidence import SEGMENTED_WEIGHTS, combined, evidence_against
from penstock.server.rollout.segment_counts import SegmentCounts
from penstock.server.rollout.snapshot import Snapshot

#: Segments of equal size: each has 2 % of the traffic.
SEGMENTS = 50
CHECK_SECONDS = 5.0
RATE = 100.0
#: Steps of 30 s each at 1, 5, 25 and 50 %; 3,000 requests at 100 a second.
RAMP = replace(TERMS, segments=("country",), fallback=False)


@dataclass(frozen=True)
class Harm:
    """What requests meet.

    Attributes:
        failed: Probability of a failure, of stable and of the candidate.
        wrong: The same of a wrong answer.
        failed_in_one: Of the candidate, in the first segment.
        wrong_in_one: The same of a wrong answer.
        slow: Probability of a slow answer, of stable and of the candidate.
        slow_in_one: Of the candidate, in the first segment.
        labelled: Share of the requests that get a label.
        rate: Requests a second.
    """

    failed: tuple[float, float] = (0.005, 0.005)
    wrong: tuple[float, float] = (0.1, 0.1)
    failed_in_one: float | None = None
    wrong_in_one: float | None = None
    slow: tuple[float, float] = (0.01, 0.01)
    slow_in_one: float | None = None
    labelled: float = 0.3
    rate: float = RATE

    def probabilities(self, common, in_one):
        found = np.repeat(np.array(common)[:, None], SEGMENTS, axis=1)
        if in_one is not None:
            found[1, 0] = in_one
        return found


@dataclass
class Counted:
    """Cumulative counts: arm x segment."""

    requests: np.ndarray = field(default_factory=lambda: np.zeros((2, SEGMENTS), int))
    failed: np.ndarray = field(default_factory=lambda: np.zeros((2, SEGMENTS), int))
    slow: np.ndarray = field(default_factory=lambda: np.zeros((2, SEGMENTS), int))


def ramp(number, harm, seed, terms=RAMP, seconds=200.0):
    """The rollout after a ramp, and the requests until then."""
    random, now = np.random.default_rng([seed, number]), 0.0
    rollout = decide(new_rollout(number, terms), Snapshot(epoch="run", ready=True), now).rollout
    counted, labels, requests = Counted(), {}, 0
    failing = harm.probabilities(harm.failed, harm.failed_in_one)
    wrong = harm.probabilities(harm.wrong, harm.wrong_in_one)
    slow = harm.probabilities(harm.slow, harm.slow_in_one)
    while now < seconds and not rollout.final:
        total = random.poisson(harm.rate * CHECK_SECONDS)
        requests += total
        canary = random.binomial(total, rollout.percent / 100.0)
        new = np.stack(
            [
                random.multinomial(count, np.full(SEGMENTS, 1 / SEGMENTS))
                for count in (total - canary, canary)
            ]
        )
        counted.requests += new
        counted.failed += random.binomial(new, failing)
        counted.slow += random.binomial(new, slow)
        step = labels.setdefault(rollout.steps[-1].began_at, np.zeros((2, 2, SEGMENTS), int))
        told = random.binomial(new, harm.labelled)
        step += np.stack([told, random.binomial(told, wrong)])
        now += CHECK_SECONDS
        look = snapshot(counted, labels, rollout.percent)
        if not terms.segments:
            plain = tuple(replace(one, segments={}) for one in look.labels)
            look = replace(look, labels=plain, segments={})
        rollout = decide(rollout, look, now).rollout
    return rollout, requests


def snapshot(counted, labels, percent):
    arms = [
        ArmCounts(
            requests=int(counted.requests[arm].sum()),
            errors=int(counted.failed[arm].sum()),
            slow=int(counted.slow[arm].sum()),
        )
        for arm in (0, 1)
    ]
    columns = (
        counted.requests[0],
        counted.failed[0],
        counted.requests[1],
        counted.failed[1],
    )
    segments = {
        f"country={n}": SegmentCounts(
            *(int(one[n]) for one in columns),
            stable_slow=int(counted.slow[0, n]),
            canary_slow=int(counted.slow[1, n]),
        )
        for n in range(SEGMENTS)
    }
    known = tuple(StepLabels(at, *_labels(one)) for at, one in labels.items())
    return Snapshot(
        Counts(*arms), "run", ready=True, percent=percent, labels=known, segments=segments
    )


def _labels(step):
    """Labels of one step, of all segments and by segment."""
    labelled, wrong = step
    arms = [(int(labelled[arm].sum()), int(wrong[arm].sum())) for arm in (0, 1)]
    by_segment = {
        f"country={n}": SegmentCounts(
            0, 0, 0, 0, *(int(one[arm, n]) for arm in (0, 1) for one in (labelled, wrong))
        )
        for n in range(SEGMENTS)
    }
    return (*arms, (), by_segment)


def names(ramps):
    return sum("country=0 " in one.reason for one, _ in ramps)


#: Harm in 2 % of the traffic, and what it is.
HARMS = {
    "fails at half of its requests": Harm(failed_in_one=0.5),
    "is slow at half of its requests": Harm(slow_in_one=0.5),
    "answers nine in ten wrongly": Harm(wrong_in_one=0.9, rate=200.0),
    "answers half wrongly": Harm(wrong_in_one=0.5, rate=600.0),
}


@pytest.mark.parametrize("what", HARMS)
def test_a_candidate_that_harms_one_segment_is_aborted_and_the_segment_is_named(what):
    ramps = [ramp(number, HARMS[what], seed=1) for number in range(50)]
    aborted = [one for one in ramps if one[0].phase == "aborted"]
    said(f"{what} in one segment of {SEGMENTS}, aborted", len(aborted), 50)
    quantiles("requests until then", [requests for _, requests in aborted])
    assert len(aborted) >= 45
    assert names(aborted) >= 0.9 * len(aborted)


def test_without_segments_the_same_harm_is_promoted():
    """What segments are for."""
    terms = replace(RAMP, segments=())
    ramps = [ramp(number, HARMS["answers half wrongly"], 1, terms) for number in range(20)]
    assert sum(one.phase == "promoted" for one, _ in ramps) >= 16


def test_a_healthy_candidate_with_fifty_segments_is_not_aborted():
    ramps = [ramp(number, Harm(rate=300.0), seed=2) for number in range(80)]
    aborted = sum(one.phase == "aborted" for one, _ in ramps)
    said("healthy, fifty segments, aborted", aborted, 80)
    assert aborted <= 4
    assert sum(one.phase == "promoted" for one, _ in ramps) >= 74


def test_without_evidence_all_parts_together_are_one():
    for kind, weights in SEGMENTED_WEIGHTS.items():
        assert combined(kind, dict.fromkeys(weights, 1.0)) == pytest.approx(1.0)
    rollout = new_rollout(0, RAMP)
    assert evidence_against(rollout).total == pytest.approx(1.0)
