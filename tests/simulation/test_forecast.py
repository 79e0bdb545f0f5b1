"""Whether canaries do what was forecast of them: real decisions on a fake clock.

``pytest tests/simulation/test_forecast.py -s`` prints the figures.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from rollout_traffic import Fleet, Traffic

from penstock.server.rollout.forecast import forecast
from penstock.server.rollout.phase import Phase
from penstock.server.rollout.ramp_simulation import StableTraffic
from penstock.server.rollout.rollout_spec import RolloutSpec

STABLE = {"errors": 0.005, "slow": 0.001}
TERMS = RolloutSpec(
    steps=(5.0, 25.0, 50.0, 100.0),
    hold_seconds=60.0,
    min_requests=50,
    max_bad_percent=5.0,
    watch_seconds=0.0,
)


def traffic(rate, times=1.0):
    return Traffic(rate=rate, stable=STABLE, canary={"errors": times})


def show(line):
    print(f"\n{line}", end="")  # noqa: T201


def test_the_smallest_harm_is_rolled_back_about_as_often_as_it_says_in_about_the_time():
    found = forecast(TERMS, StableTraffic(100.0, STABLE["errors"], STABLE["slow"]))
    healthy = Fleet(30, traffic(100.0), TERMS, check_seconds=5.0).run(3600.0)
    took = float(np.median(healthy.ended_at))
    show(f"as good as stable: forecast {found.seconds:.0f} s, took {took:.0f} s")
    assert healthy.count(Phase.PROMOTED) >= 28
    assert found.seconds / 1.3 <= took <= found.seconds * 1.3
    times = found.harms["failed"].rate / STABLE["errors"]
    harmed = Fleet(100, traffic(100.0, times), TERMS, seed=3, check_seconds=5.0).run(3600.0)
    show(f"{times:.2f} times the failures: rolled back {harmed.count(Phase.ABORTED)} of 100")
    assert 68 <= harmed.count(Phase.ABORTED) <= 96
    half = Fleet(40, traffic(100.0, 1 + (times - 1) / 3), TERMS, seed=4, check_seconds=5.0)
    assert half.run(3600.0).count(Phase.ABORTED) <= 25


def test_a_ramp_at_one_request_a_second_is_held_at_its_limit_and_a_change_that_is_named_ends_it():
    terms = RolloutSpec(watch_seconds=0.0)
    slow = StableTraffic(1.0, STABLE["errors"], STABLE["slow"])
    found = forecast(terms, slow)
    assert found.in_time < 0.5
    held = Fleet(16, traffic(1.0), terms, check_seconds=300.0).run(87_000.0)
    show(
        f"1 request/s: forecast {found.in_time:.0%} in time, promoted {held.count(Phase.PROMOTED)}"
    )
    assert held.count(Phase.HELD) >= 8
    option = next(one.option for one in found.to_end if one.option.startswith("--steps"))
    steps = tuple(map(float, option.removeprefix("--steps ").split(",")))
    changed = Fleet(16, traffic(1.0), replace(terms, steps=steps), check_seconds=300.0)
    changed.run(87_000.0)
    show(f"with {option}: promoted {changed.count(Phase.PROMOTED)} of 16")
    assert changed.count(Phase.PROMOTED) >= 12
