"""Rates and quantiles from two readings of the counters."""

from __future__ import annotations

import pytest

from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.latency_quantile import latency_quantile
from penstock.server.control.api.traffic import traffic


def slots(**counts):
    made = [0] * layout.SLOTS
    for name, count in counts.items():
        made[layout.status_index(int(name[1:]))] = count
    return made


def test_only_what_came_between_the_readings_counts_as_rate():
    found = traffic(slots(s200=100, s500=1), slots(s200=160, s500=4, s404=2), 10.0)
    assert (found.requests, found.errors) == (166, 4)
    assert found.requests_per_second == pytest.approx(6.5)
    assert found.errors_per_second == pytest.approx(0.3)
    assert found.p50_seconds is None


def test_quantiles_lie_within_their_bucket():
    buckets = [0] * (len(layout.SECONDS) + 1)
    buckets[6] = 98  # up to 1 ms
    buckets[9] = 2  # up to 10 ms
    assert layout.SECONDS[5] < latency_quantile(buckets, 0.5) <= layout.SECONDS[6]
    assert layout.SECONDS[8] < latency_quantile(buckets, 0.99) <= layout.SECONDS[9]


def test_what_is_over_every_bound_counts_as_the_highest():
    buckets = [0] * (len(layout.SECONDS) + 1)
    buckets[-1] = 5
    assert latency_quantile(buckets, 0.5) == layout.SECONDS[-1]
