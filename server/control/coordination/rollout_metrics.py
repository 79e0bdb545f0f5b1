"""The metrics of rollouts in ``/metrics``, beside the counters of their arms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from penstock.server.desired_state.rebuild import ABANDONED
from penstock.server.rollout.evidence import combined, e_values
from penstock.server.rollout.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prometheus_client import Metric

    from penstock.server.desired_state.audit_record import AuditRecord
    from penstock.server.rollout.rollout import Rollout


class RolloutMetrics(Collector):
    """Renders the last rollout of each model, and how often any was aborted.

    Args:
        rollouts: The last rollout of each model; called from another thread.
    """

    def __init__(self, rollouts: Callable[[], Sequence[Rollout]]) -> None:
        self._rollouts = rollouts
        self._aborts: dict[tuple[str, str], int] = {}
        self._last: tuple[str, str] | None = None

    def add(self, record: AuditRecord) -> None:
        """Take a record of the audit log, in its order."""
        if record.event.action == ABANDONED:
            if self._last is not None:
                self._aborts[self._last] -= 1
            self._last = None
            return
        about = record.event.evidence.get("rollout")
        self._last = None
        if isinstance(about, dict) and about.get("phase") == Phase.ABORTED:
            self._last = record.event.model, str(about.get("cause", ""))
            self._aborts[self._last] = self._aborts.get(self._last, 0) + 1

    def describe(self) -> Iterator[Metric]:
        """Nothing: there is no need to look when the registry is built."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All families."""
        phase = GaugeMetricFamily(
            "penstock_rollout_phase", "The phase that it is in; 1.", labels=["model", "phase"]
        )
        weight = GaugeMetricFamily(
            "penstock_rollout_weight", "Share of the candidate, in percent.", labels=["model"]
        )
        evidence = GaugeMetricFamily(
            "penstock_rollout_e_value",
            "Evidence against the candidate, by kind; all of it aborts at 1 / alpha.",
            labels=["model", "kind"],
        )
        for rollout in self._rollouts():
            parts = e_values(rollout)
            for one in Phase:
                phase.add_metric([rollout.model, str(one)], float(one is rollout.phase))
            weight.add_metric([rollout.model], rollout.percent)
            evidence.add_metric([rollout.model, "all"], combined(rollout.kind, parts))
            for kind, value in parts.items():
                evidence.add_metric([rollout.model, kind], value)
        aborts = CounterMetricFamily(
            "penstock_rollout_aborts", "Rollouts that were aborted.", labels=["model", "reason"]
        )
        for labels, count in sorted(self._aborts.items()):
            aborts.add_metric(list(labels), count)
        yield from (phase, weight, evidence, aborts)
