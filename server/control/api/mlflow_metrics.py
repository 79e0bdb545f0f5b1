"""The metrics of what is followed: webhooks of MLflow, and aliases that cannot be followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from penstock.server.control.coordination.alias_follower import AliasFollower
    from penstock.server.follow.webhook_signature import Deliveries


class MlflowMetrics(Collector):
    """Counts of webhooks since the start of control, and the state of each followed alias.

    Args:
        followers: The followed aliases, by the name they are served under.
        deliveries: The webhooks that have come.
    """

    def __init__(self, followers: Mapping[str, AliasFollower], deliveries: Deliveries) -> None:
        self._followers = followers
        self._deliveries = deliveries

    def describe(self) -> Iterator[Metric]:
        """Nothing: there is no need to look when the registry is built."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The families of metrics; none where nothing is followed."""
        if not self._followers:
            return
        webhooks = CounterMetricFamily(
            "penstock_follow_webhooks",
            "Webhooks of MLflow by what became of them.",
            labels=("outcome",),
        )
        seen = self._deliveries
        for outcome, count in (
            ("taken", seen.taken),
            ("doubled", seen.doubled),
            ("refused", seen.refused),
        ):
            webhooks.add_metric((outcome,), count)
        yield webhooks
        failing = GaugeMetricFamily(
            "penstock_follow_failing",
            "1 while a followed alias cannot be followed.",
            labels=("model",),
        )
        for name, one in self._followers.items():
            failing.add_metric((name,), float(bool(one.problem)))
        yield failing
