from __future__ import annotations

import json
from dataclasses import replace

import pytest

from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.latency_quantile import share_above
from penstock.server.cli.durations import duration
from penstock.server.cli.rollout_plan import plan_lines
from penstock.server.control.api.rollout_plan import measured, plan, supposed
from penstock.server.control.api.traffic import Traffic
from penstock.server.errors import InvalidRequest
from penstock.server.rollout.ramp_simulation import StableTraffic
from penstock.server.rollout.rollout_spec import RolloutSpec

TERMS = RolloutSpec(
    steps=(5.0, 25.0, 100.0), hold_seconds=60.0, min_requests=50, max_bad_percent=5.0
)


def planned(traffic, **changes):
    """As it comes out of JSON."""
    made = plan("m", (1, 2), replace(TERMS, **changes), traffic)
    return json.loads(json.dumps(made, allow_nan=False))


def test_a_ramp_that_ends_says_when_and_what_it_sees():
    lines = plan_lines(planned(StableTraffic(100.0, 0.001)))
    assert lines[0].startswith("canary of m version 2 beside version 1, at 100 requests/s")
    assert "5 %, 5 requests/s: about 1 min" in lines[1]
    text = "\n".join(lines)
    assert "in all about 2 min if it is as good as stable" in text
    assert "failures: rolled back from" in text
    assert "hardly" not in text


def test_a_ramp_that_does_not_end_says_what_would_have_to_change():
    text = "\n".join(plan_lines(planned(StableTraffic(1.0, 0.001), deadline_seconds=600.0)))
    assert "it will hardly end within its limit of 10 min: 0% of such ramps do" in text
    assert "with --steps 25,100: about" in text
    assert "with --deadline 2d" in text


def test_without_traffic_it_says_so():
    assert "no requests in the last minute" in "\n".join(plan_lines(planned(StableTraffic(0.0))))


def test_what_is_measured_is_of_all_versions_and_a_share_never_seen_may_hide():
    figures = {
        ("m", "1"): Traffic(999, 4, 8.0, 0.0, None, None),
        ("m", "2"): Traffic(10, 9, 2.0, 1.0, None, None),
        ("n", "1"): Traffic(10, 9, 50.0, 1.0, None, None),
    }
    slots = [0] * layout.SLOTS
    slots[layout.LATENCY.first + 3] = 90
    slots[layout.LATENCY.first + 9] = 10
    found = measured(figures, slots, "m", 1, layout.SECONDS[5])
    assert found.requests_per_second == 10.0
    assert found.failed == pytest.approx(4.5 / 1000)
    assert found.slow == pytest.approx(0.1 + 0.5 / 1000)
    assert measured({}, None, "m", 1, 0.0) == StableTraffic(0.0, 0.5, 0.0)


def test_what_is_supposed_takes_its_place():
    now = StableTraffic(10.0, 0.1, 0.2)
    assert supposed(now, {}) == now
    assert supposed(now, {"failed_percent": 2, "requests_per_second": 5}) == StableTraffic(
        5.0, 0.02, 0.2
    )
    for bad in ({"failed_percent": 101}, {"requests_per_second": "x"}, {"slow_percent": -1}):
        with pytest.raises(InvalidRequest, match=next(iter(bad))):
            supposed(now, bad)


def test_the_share_above_a_bound_is_linear_within_its_bucket():
    buckets = [0] * (len(layout.SECONDS) + 1)
    buckets[6], buckets[-1] = 80, 20
    low, high = layout.SECONDS[5], layout.SECONDS[6]
    assert share_above(buckets, low) == 1.0
    assert share_above(buckets, (low + high) / 2) == pytest.approx(0.6)
    assert share_above(buckets, high) == pytest.approx(0.2)
    assert share_above([0] * len(buckets), 1.0) == 0.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_are_two_units_at_most(seconds, words):
    assert duration(seconds) == words
