"""Rollouts under traffic of tenants, retries and constant ids: what workers count, and decisions.

Requests are drawn in numpy. Those that fail, and those of units that failed before, go through the
real `FirstFailures`, `WorstUnits`, `Chooser` and `decide`; all others are only counted. The
controller looks after each failure of the candidate and every five seconds, on a fake clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from penstock.server.rollout.counts import ArmCounts, Counts
from penstock.server.rollout.decision import decide
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.rollout import begin, split_of
from penstock.server.rollout.rollout_spec import Kind, RolloutSpec
from penstock.server.rollout.routing import Chooser
from penstock.server.rollout.snapshot import Snapshot
from penstock.server.rollout.unit_memory import FirstFailures, UnitMemory, anonymous_memory
from penstock.server.rollout.worst_units import (
    SLOTS,
    Outcome,
    WorstUnits,
    table_of,
)

#: 30 s in each step at 100 requests a second, as in `rollout_traffic`.
TERMS = RolloutSpec(
    steps=(1.0, 5.0, 25.0, 50.0, 100.0),
    hold_seconds=29.0,
    min_requests=5,
    max_bad_percent=100.0,
    sticky="x-tenant",
    watch_seconds=0.0,
)
LOOK_SECONDS = 5.0
CHUNK_SECONDS = 5.0


@dataclass(frozen=True)
class Units:
    """Who asks, and what happens to it.

    Attributes:
        shares: Of the traffic, by unit; sums to 1.
        stable: Probability that stable fails at a request of the unit.
        canary: The same of the candidate; ``None`` for the same as stable.
        shared: Whether a failure is the request's: what one version fails at the other does, too.
        retries: A request that fails is sent again so often at once, with the same id.
        by_request: Whether arms are chosen by request: each has an id of its own.
        rate: Requests a second.
    """

    shares: np.ndarray
    stable: np.ndarray
    canary: np.ndarray | None = None
    shared: bool = False
    retries: int = 0
    by_request: bool = False
    rate: float = 100.0


@dataclass
class Ramp:
    """One rollout from its start to its end, or to the end of the time given.

    Attributes:
        rollout: As it ended.
        failed: Failures of the candidate by unit, until then.
        met: Requests of the candidate by unit, until then.
        seconds: How long it took.
    """

    rollout: object
    failed: dict[int, int] = field(default_factory=dict)
    met: dict[int, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def aborted(self):
        return self.rollout.phase is Phase.ABORTED


class Worker:
    """What a worker keeps and counts of one rollout."""

    def __init__(self, rollout_id):
        self.id = rollout_id
        self.memory = UnitMemory(anonymous_memory())
        self.blocks = [memoryview(bytearray(8 * SLOTS)).cast("q") for _ in range(2)]
        self.tables = [WorstUnits(block, rollout_id) for block in self.blocks]
        self.counts = [dict.fromkeys(("requests", "errors", "repeated_failures"), 0) for _ in "sc"]
        self.counts[1].update(rescued=0, both_failed=0)
        self._arms = None, None

    def arms(self, split, names):
        """Which units are in the canary's arm."""
        key = split.percent, split.watching
        if self._arms[0] != key:
            chooser = Chooser(split)
            self._arms = key, np.array([chooser.is_canary(name) for name in names])
        return self._arms[1]

    def failed(self, first, unit, canary, outcome, now):
        counts = self.counts[canary]
        counts["errors"] += 1
        if not first.is_first(unit, b"failed", canary=canary):
            counts["repeated_failures"] += 1
        if canary and outcome is Outcome.RESCUED:
            counts["rescued"] += 1
        elif canary and outcome is Outcome.BOTH_FAILED:
            counts["both_failed"] += 1
        self.tables[canary].failed(unit, outcome, now)

    def snapshot(self, percent):
        counts = Counts(*(ArmCounts(**one) for one in self.counts))
        stable, canary = ([block.tolist()] for block in self.blocks)
        table = table_of(self.id, canary, stable)
        return Snapshot(counts, "run", ready=True, percent=percent, units=table)


def run(number, units, seconds, terms=TERMS, seed=1, kind=Kind.CANARY):
    """One ramp.

    Args:
        number: Number of the ramp; names the rollout, so that arms are chosen anew.
        units: Who asks.
        seconds: At most.
        terms: Rollout spec of the rollout.
        seed: Seed of all random choices, with the number.
    """
    random = np.random.default_rng([seed, number])
    rollout = begin(f"m-{seed}-{number}", kind, "m", (1, 2), "sha256:2", terms, "ann", now=0.0)
    worker, ramp, now = Worker(rollout.id), Ramp(rollout), 0.0
    rollout = decide(rollout, worker.snapshot(None), now).rollout
    while now < seconds and not rollout.final:
        rollout = _chunk(random, units, rollout, worker, ramp, now)
        now += CHUNK_SECONDS
        if not rollout.final:
            rollout = decide(rollout, worker.snapshot(rollout.percent), now).rollout
    ramp.rollout, ramp.seconds = rollout, now
    return ramp


def _chunk(random, units, rollout, worker, ramp, start):
    """Five seconds of traffic with one share; the rollout after them, or when it ended."""
    size = random.poisson(units.rate * CHUNK_SECONDS)
    times = start + np.sort(random.uniform(0.0, CHUNK_SECONDS, size))
    who = random.choice(units.shares.size, size, p=units.shares)
    split = split_of(rollout)
    names = [f"u{unit}".encode() for unit in range(units.shares.size)]
    if units.by_request:
        arm = random.random(size) < rollout.percent / 100.0
    else:
        arm = worker.arms(split, names)[who]
    broken = units.stable if units.canary is None else units.canary
    luck, second = random.random(size), random.random(size)
    fails = luck < np.where(arm, broken[who], units.stable[who])
    stable_fails = (luck if units.shared else second) < units.stable[who]
    first = FirstFailures(worker.memory, rollout.id, split.percent, watching=split.watching)
    listed = np.zeros(units.shares.size, bool)
    tables = worker.tables[1:] if rollout.terms.fallback else worker.tables
    known = [name for table in tables for name in table._at]
    listed[[int(name[1:]) for name in known if name[:1] == b"u"]] = True
    listed = listed[who] & (arm | ~np.bool_(rollout.terms.fallback))
    counted = 0
    for at in np.flatnonzero(fails | listed):
        fresh = f"r{start}-{at}".encode() if units.by_request else names[who[at]]
        before = arm[counted : at + 1]
        worker.counts[1]["requests"] += int(before.sum())
        worker.counts[0]["requests"] += int(before.size - before.sum())
        counted = at + 1
        canary, unit = bool(arm[at]), int(who[at])
        if canary:
            ramp.met[unit] = ramp.met.get(unit, 0) + 1
        if not fails[at]:
            worker.tables[canary].answered(fresh)
            continue
        outcome = Outcome.UNTRIED
        if canary and rollout.terms.fallback:
            outcome = Outcome.BOTH_FAILED if stable_fails[at] else Outcome.RESCUED
        for _ in range(1 + units.retries):
            worker.failed(first, fresh, canary, outcome, times[at])
        worker.counts[canary]["requests"] += units.retries
        if not canary:
            continue
        ramp.failed[unit] = ramp.failed.get(unit, 0) + 1
        rollout = decide(rollout, worker.snapshot(rollout.percent), float(times[at])).rollout
        if rollout.final or rollout.percent != split.percent:
            break  # the rest of the chunk is another's
    else:
        rest = arm[counted:]
        worker.counts[1]["requests"] += int(rest.sum())
        worker.counts[0]["requests"] += int(rest.size - rest.sum())
    return rollout
