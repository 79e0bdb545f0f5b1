"""Simulates many ramps of a canary at once, for a candidate with given rates of bad requests.

The seed is the same each time, so the result is a function of the arguments. In each step the bad
requests between two looks come as Poisson numbers. The evidence, the gate of a step and the
deadline are those of `penstock.server.rollout.decision`, in the same order. Left out are units,
labels, scores, and the time that a load takes. The candidate is taken to have as many requests as
expected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from .arm_evidence import GRID, log_factors
from .evidence import SEGMENTED_WEIGHTS, TOLERATED, WEIGHTS
from .interval import most_hits
from .rollout_spec import FULL, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .rollout_spec import RolloutSpec

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

#: Ramps that are simulated for each question.
RAMPS: Final = 200
_SEED: Final = 1
#: A ramp without a deadline, or with a later one, is followed for so long; so is a watch.
_LONGEST_SECONDS: Final = 366 * 86_400.0
#: Looks before a step may be passed, and the growth of the time from one to the next afterwards.
_EARLY_LOOKS: Final = 8
_GROWTH: Final = 1.2
#: Parts of the evidence that the forecast follows.
_PARTS: Final = ("errors", "slow")


@dataclass(frozen=True, slots=True)
class StableTraffic:
    """The present traffic of the stable version.

    Attributes:
        requests_per_second: Requests that name no version.
        failed: Share of them that fails, 0 to 1.
        slow: Share of them that is slow, 0 to 1.
    """

    requests_per_second: float
    failed: float = 0.0
    slow: float = 0.0


@dataclass(frozen=True, slots=True)
class Ramps:
    """The results of simulated ramps; each array has one entry per ramp.

    Attributes:
        seconds: From the start of a ramp to its end, or to its deadline if it was held.
        steps: Seconds in each step; infinite where it was not passed.
        aborted: Whether the evidence ended it before its promotion.
        passed: Whether it passed all steps in time.
        taken_back: Whether the evidence ended it before its promotion, or while it was watched.
    """

    seconds: Floats
    steps: Floats
    aborted: Bools
    passed: Bools
    taken_back: Bools


def simulate(
    spec: RolloutSpec, stable: StableTraffic, failed: float, slow: float, ramps: int = RAMPS
) -> Ramps:
    """Simulate ramps of a canary.

    Args:
        spec: Terms of the canary.
        stable: The traffic of stable before the split: that of both arms together.
        failed: Share of the candidate's requests that fail, 0 to 1.
        slow: Share of the candidate's requests that are slow, 0 to 1.
        ramps: Number of ramps.
    """
    run = _Run(spec, stable, (failed, slow), ramps)
    shares = spec.ramp(Kind.CANARY)
    steps = np.full((ramps, len(shares)), np.inf)
    for place, percent in enumerate(shares):
        steps[:, place] = run.step(percent)
    passed, aborted = run.going.copy(), run.aborted.copy()
    seconds = np.where(passed | aborted, run.elapsed, run.limit)
    if spec.watch_seconds and spec.promotes:
        run.watch(spec.watched_percent)
    return Ramps(seconds, steps, aborted, passed, run.aborted)


class _Run:
    """Ramps on their way. All have the same step; those that have ended stay as they are."""

    def __init__(
        self, spec: RolloutSpec, stable: StableTraffic, bad: tuple[float, float], ramps: int
    ) -> None:
        self._random = np.random.default_rng(_SEED)
        self._spec = spec
        self._rate = stable.requests_per_second
        self._stable = (stable.failed, stable.slow)
        self._bad = bad
        self._ramps = ramps
        self._logs = np.zeros((len(_PARTS), ramps, len(GRID)))
        self.limit = min(spec.deadline_seconds or _LONGEST_SECONDS, _LONGEST_SECONDS)
        self.going = np.ones(ramps, bool)
        self.aborted = np.zeros(ramps, bool)
        self.elapsed = np.zeros(ramps)

    def step(self, percent: float) -> Floats:
        """Go through one step; returns the seconds that each ramp took to pass it."""
        share = percent / FULL
        soonest = max(self._spec.hold_seconds, _seconds_for(self._spec, self._rate * share))
        looks = look_times(soonest, self.limit)
        factors = [np.array(log_factors(share, TOLERATED)) for _ in _PARTS]
        events = self._events(looks, share)
        logs = self._evidence(events, factors)
        over = self._total(logs) >= 1.0 / self._spec.alpha
        most = [self._most_bad(seconds, share) if seconds >= soonest else -1 for seconds in looks]
        bad = events[:, 0].sum(axis=0)
        ready = bad <= np.array(most)
        when_over, when_ready = _first(over), _first(ready)
        ended = np.minimum(when_over, when_ready)
        seconds = np.append(looks, np.inf)[ended]
        late = self.elapsed + seconds > self.limit
        passes = self.going & ~late & (when_ready < when_over)
        self.aborted |= self.going & ~late & (when_over <= when_ready) & (when_over < len(looks))
        took = np.where(passes, seconds, np.inf)
        ends = passes | (self.going & self.aborted)
        self.elapsed = np.where(
            self.going & ends, self.elapsed + np.where(ends, seconds, 0.0), self.elapsed
        )
        at = np.minimum(ended, len(looks) - 1)
        self._logs = logs[:, np.arange(self._ramps), at]
        self.going = passes
        return took

    def watch(self, percent: float) -> None:
        """Go on after the promotion until the watch ends."""
        share = percent / FULL
        seconds = min(self._spec.watch_seconds, _LONGEST_SECONDS)
        looks = look_times(seconds / 8.0, seconds)
        factors = [np.array(log_factors(share, TOLERATED)) for _ in _PARTS]
        logs = self._evidence(self._events(looks, share), factors)
        over = (self._total(logs) >= 1.0 / self._spec.alpha).any(axis=1)
        self.aborted |= self.going & over

    def _events(self, looks: Floats, share: float) -> Floats:
        """Bad requests until each look: part x (canary, stable) x ramp x look."""
        spans = np.diff(looks, prepend=0.0) * self._rate
        shape = (self._ramps, len(looks))
        found = np.empty((len(_PARTS), 2, *shape))
        for part in range(len(_PARTS)):
            for arm, risk in enumerate((share * self._bad[part], (1 - share) * self._stable[part])):
                found[part, arm] = self._random.poisson(spans * risk, shape)
        return found.cumsum(axis=-1)

    def _evidence(self, events: Floats, factors: Sequence[Floats]) -> Floats:
        """Logarithms of each bet at each look: part x ramp x look x bet."""
        return np.stack(
            [
                before[:, None, :]
                + canary[..., None] * factor[:, 0]
                + stable[..., None] * factor[:, 1]
                for before, (canary, stable), factor in zip(
                    self._logs, events, factors, strict=True
                )
            ]
        )

    def _total(self, logs: Floats) -> Floats:
        """All evidence joined; parts that the forecast does not follow count as no evidence."""
        weights = (SEGMENTED_WEIGHTS if self._spec.segments else WEIGHTS)[Kind.CANARY]
        followed = [weights[part] for part in _PARTS]
        values = np.exp(np.minimum(logs, 700.0)).mean(axis=-1)
        total: Floats = np.tensordot(followed, values, axes=1) + (1.0 - sum(followed))
        return total

    def _most_bad(self, seconds: float, share: float) -> int:
        """The most bad requests of the candidate with which a step is passed."""
        limit = max(self._spec.max_bad_percent / FULL, TOLERATED * sum(self._stable))
        requests = int(seconds * self._rate * share)
        return requests if limit >= 1.0 else most_hits(requests, limit)


def look_times(soonest: float, limit: float) -> Floats:
    """The times of looks at a step: some before it may be passed, then ever fewer.

    Args:
        soonest: Seconds until it may be passed.
        limit: Seconds after which nobody looks any more.
    """
    early = np.linspace(0.0, min(soonest, limit), _EARLY_LOOKS + 1)[1:]
    if soonest >= limit:
        return early
    more = max(1, math.ceil(math.log(limit / max(soonest, 1e-3)) / math.log(_GROWTH)))
    return np.append(early, np.geomspace(max(soonest, 1e-3), limit, more + 1)[1:])


def _seconds_for(spec: RolloutSpec, requests_per_second: float) -> float:
    """Seconds until the candidate has had the fewest requests of a step."""
    return spec.min_requests / requests_per_second if requests_per_second else math.inf


def _first(flags: Bools) -> NDArray[np.int64]:
    """The first look at which the condition holds; the number of looks if it never does."""
    found: NDArray[np.int64] = np.where(flags.any(axis=1), flags.argmax(axis=1), flags.shape[1])
    return found
