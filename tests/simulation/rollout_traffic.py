"""Many rollouts side by side under simulated traffic: real decisions, a fake clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from penstock.server.rollout.counts import ArmCounts, Counts
from penstock.server.rollout.decision import decide
from penstock.server.rollout.evidence import TOLERATED, WEIGHTS
from penstock.server.rollout.rollout import Rollout, begin
from penstock.server.rollout.rollout_spec import Kind, RolloutSpec
from penstock.server.rollout.snapshot import Snapshot

#: How often the controller looks.
CHECK_SECONDS = 0.5
#: Steps of 3,000 requests each: 30 s at 100 requests a second, 29.5 of them seen in full.
TERMS = RolloutSpec(
    steps=(1.0, 5.0, 25.0, 50.0, 100.0),
    hold_seconds=29.0,
    min_requests=5,
    max_bad_percent=100.0,
    watch_seconds=0.0,
)
KINDS = ("errors", "slow")


@dataclass(frozen=True)
class Traffic:
    """What requests meet.

    Attributes:
        rate: Requests a second.
        stable: Probability by kind that a request of stable is bad.
        canary: How many times that for the candidate; at most 1 comes of it.
        outage: The same for both arms while it lasts.
        outage_seconds: How long that is; it begins at random within the first 100 s.
    """

    rate: float = 100.0
    stable: dict[str, float] = field(default_factory=lambda: {"errors": 0.005, "slow": 0.01})
    canary: dict[str, float] = field(default_factory=dict)
    outage: dict[str, float] = field(default_factory=lambda: {"errors": 0.4, "slow": 0.6})
    outage_seconds: float = 0.0


def new_rollout(number: int = 0, terms: RolloutSpec = TERMS, kind: Kind = Kind.CANARY) -> Rollout:
    return begin(f"m-{number}", kind, "m", (1, 2), "sha256:2", terms, "ann", now=0.0)


class Fleet:
    """Rollouts of the same terms, each with traffic of its own.

    Args:
        size: Number of rollouts.
        traffic: Of each.
        terms: Rollout spec of each.
        seed: Seed of all random choices.
        check_seconds: How often the controller looks.
    """

    def __init__(self, size, traffic, terms=TERMS, seed=1, check_seconds=CHECK_SECONDS):
        self._random = np.random.default_rng(seed)
        self._traffic = traffic
        self._look = check_seconds
        self.now = 0.0
        self.rollouts = [new_rollout(n, terms) for n in range(size)]
        self.ended_at = np.full(size, np.inf)
        self.first_bad_at = np.full(size, np.inf)  # of the candidate
        self.requests = np.zeros((size, 2), dtype=np.int64)
        self.bad = {kind: np.zeros((size, 2), dtype=np.int64) for kind in KINDS}
        self._outage_at = self._random.uniform(0.0, 100.0, size)
        self._shares = np.zeros(size)  # as the workers have them

    def run(self, seconds):
        """Until all have ended, or this much time has passed."""
        while self.now < seconds and np.isinf(self.ended_at).any():
            self._serve()
            self.now += self._look
            for number, rollout in enumerate(self.rollouts):
                if not rollout.final:
                    self._decide(number, rollout)
        return self

    def look(self, number, rollout, snapshot, now):
        """One look of the controller at one rollout."""
        return decide(rollout, snapshot, now)

    def count(self, phase):
        return sum(rollout.phase == phase for rollout in self.rollouts)

    def _serve(self):
        traffic, random = self._traffic, self._random
        total = random.poisson(traffic.rate * self._look, len(self.rollouts))
        canary = random.binomial(total, self._shares)
        served = np.stack([total - canary, canary], axis=1)
        served[np.isfinite(self.ended_at)] = 0
        self.requests += served
        until = self._outage_at + traffic.outage_seconds
        outage = (self._outage_at <= self.now) & (self.now < until)
        for kind in KINDS:
            base = np.where(outage, traffic.outage[kind], traffic.stable[kind])
            times = np.array([1.0, traffic.canary.get(kind, 1.0)])
            self.bad[kind] += random.binomial(served, np.minimum(1.0, base[:, None] * times))
        any_bad = sum(counts[:, 1] for counts in self.bad.values()) > 0
        self.first_bad_at[any_bad & np.isinf(self.first_bad_at)] = self.now

    def _decide(self, number, rollout):
        share = self._shares[number] * 100.0
        arms = [
            ArmCounts(
                requests=int(self.requests[number, arm]),
                errors=int(self.bad["errors"][number, arm]),
                slow=int(self.bad["slow"][number, arm]),
            )
            for arm in (0, 1)
        ]
        snapshot = Snapshot(Counts(*arms), epoch="run", ready=True, percent=share)
        after = self.look(number, rollout, snapshot, self.now).rollout
        self.rollouts[number] = after
        # Workers take a new share up after the look at which it was decided on.
        self._shares[number] = after.percent / 100.0
        if after.final:
            self.ended_at[number] = self.now


@dataclass(frozen=True)
class Stops:
    """What came of runs looked at after every request; one entry for each.

    Attributes:
        stopped: Whether the evidence was ever enough.
        canary_errors: Errors of the candidate by then, or by the end of the ramp.
        errors: Errors of both arms by then.
        canary_requests: Requests of the candidate by then.
    """

    stopped: np.ndarray
    canary_errors: np.ndarray
    errors: np.ndarray
    canary_requests: np.ndarray

    @property
    def rate(self):
        return float(self.stopped.mean())


def run_by_request(size, traffic, shares=(0.01, 0.05, 0.25, 0.5), seed=1, users=None):
    """The same evidence computed anew in numpy, and looked at after *every* request.

    Args:
        size: Rollouts.
        traffic: Of each; 3,000 requests in each step.
        shares: Of the candidate, one after the other.
        seed: Seed of all random choices.
        users: Probability of an error by user, whose arm is sticky; by request if none.
    """
    random = np.random.default_rng(seed)
    share = np.repeat(shares, 3000)
    found = [_run(random, traffic, share, users) for _ in range(size)]
    return Stops(*(np.array(column) for column in zip(*found, strict=True)))


def _run(random, traffic, share, users):
    total = share.size
    length = int(traffic.outage_seconds * traffic.rate)
    start = random.integers(0, total - length)
    outage = np.zeros(total, dtype=bool)
    outage[start : start + length] = True
    arm, own = random.random(total) < share, None
    if users is not None:
        who = random.integers(0, users.size, total)
        arm, own = random.random(users.size)[who] < share, users[who]
    wealth = np.ones(total)
    errors = np.zeros(total, dtype=bool)
    for kind in KINDS:
        risk = np.where(outage, traffic.outage[kind], traffic.stable[kind])
        if own is not None and kind == "errors":
            risk = own
        bad = random.random(total) < risk * np.where(arm, traffic.canary.get(kind, 1.0), 1.0)
        errors = bad if kind == "errors" else errors
        wealth += WEIGHTS[Kind.CANARY][kind] * (_wealth(share, arm, bad) - 1.0)
    over = np.flatnonzero(wealth >= 1 / TERMS.alpha)
    end = over[0] + 1 if over.size else total
    return over.size > 0, (errors & arm)[:end].sum(), errors[:end].sum(), arm[:end].sum()


def _wealth(share, arm, bad):
    """Of the bets on one kind of bad event, after each request."""
    at = np.flatnonzero(bad)
    w, bets = share[at, None], TOLERATED * np.array([1.5, 2, 3, 5, 10, 30, 100, 1000])
    null = w * TOLERATED / (1 - w + w * TOLERATED)
    bet = w * bets / (1 - w + w * bets)
    steps = np.where(arm[at, None], np.log(bet / null), np.log((1 - bet) / (1 - null)))
    values = np.exp(np.minimum(600.0, np.cumsum(steps, axis=0))).mean(axis=1)
    return np.concatenate([[1.0], values])[np.searchsorted(at, np.arange(share.size), "right")]
