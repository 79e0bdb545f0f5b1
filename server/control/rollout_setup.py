"""Builds the objects of rollouts in the control process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.feedback.evidence import arm_labels
from penstock.monitoring.feedback.segment_labels import segment_labels
from penstock.monitoring.samples.arm_scores import read_scores, read_segment_scores
from penstock.server.control.api.command import Command
from penstock.server.control.api.rollout_api import RolloutApi
from penstock.server.control.api.rollout_operations import RolloutOperations
from penstock.server.control.coordination.on_push import OnPush
from penstock.server.control.coordination.rollout_alerts import RolloutAlerts
from penstock.server.control.coordination.rollout_controller import RolloutController
from penstock.server.control.coordination.rollout_metrics import RolloutMetrics
from penstock.server.control.coordination.rollout_observer import Epoch, Observer
from penstock.server.control.coordination.step_label_counter import StepLabelCounter
from penstock.server.desired_state.store import ACTOR
from penstock.server.rollout.checkpoint import DIRECTORY, Checkpoints
from penstock.server.rollout.rollout_spec import Kind
from penstock.server.rollout.vetoes import Vetoes
from penstock.server.shadow.record import read_record, standing

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.server.config.config import ServerConfig
    from penstock.server.control.api.deploy_command import DeployCommand
    from penstock.server.control.api.traffic import TrafficWindow
    from penstock.server.control.coordination.coordinator import Coordinator
    from penstock.server.control.coordination.exposition import Exposition
    from penstock.server.desired_state.audit_record import AuditRecord


@dataclass(frozen=True, slots=True)
class Rollouts:
    """The objects of rollouts in the control process.

    Attributes:
        controller: Decides about rollouts and moves them.
        metrics: Metrics of rollouts.
        alerts: Alerts about rollouts.
        vetoes: Alarms of other systems against versions.
        on_push: Begins canaries of new versions by itself.
    """

    controller: RolloutController
    metrics: RolloutMetrics
    alerts: RolloutAlerts
    vetoes: Vetoes
    on_push: OnPush

    def add_past(self, record: AuditRecord) -> None:
        """Take a record of an earlier run of the server, in order."""
        self.metrics.add(record)
        self.alerts.add_past(record)

    def works(self) -> dict[str, Any]:
        """The tasks of rollouts, by what they do."""
        return {
            "carrying rollouts on": self.controller.run,
            "beginning canaries": self.on_push.run,
            "telling of rollouts": self.alerts.run,
        }

    def handlers(
        self,
        deploy: DeployCommand,
        coordinator: Coordinator,
        exposition: Exposition,
        state_dir: Path,
        traffic: TrafficWindow,
    ) -> dict[Any, Any]:
        """The endpoints of rollouts, with their handlers."""
        operations = RolloutOperations(
            deploy, self.controller, coordinator, exposition, self.vetoes
        )

        async def begin(model: str, version: int, /) -> None:
            command = Command("rollout.start", model, ACTOR, "on_push = canary")
            await operations.start(command, ACTOR, Kind.CANARY, version, {})

        self.on_push.begin = begin

        def shadow(rollout: str) -> dict[str, Any] | None:
            record = read_record(state_dir, rollout)
            return None if record is None else record.to_json()

        api = RolloutApi(operations, self.controller, coordinator, self.vetoes, shadow, traffic)
        return api.handlers()


def wire_rollouts(
    coordinator: Coordinator,
    exposition: Exposition,
    config: ServerConfig,
    config_file: Path,
) -> Rollouts:
    """Build the objects.

    Args:
        coordinator: Desired state, target and workers.
        exposition: Reads the counters; gets the metrics.
        config: Configuration of the server.
        config_file: The same in a file that every start of the server writes anew.
    """
    assert config.state_dir is not None
    state_dir, written = config.state_dir, config_file.stat()
    epoch = Epoch(f"{written.st_mtime_ns}-{written.st_ino}", written.st_mtime)
    vetoes = Vetoes(state_dir / DIRECTORY)
    monitor = state_dir / "monitor"
    labels = StepLabelCounter(
        partial(arm_labels, monitor),
        partial(read_scores, monitor),
        partial(segment_labels, monitor),
        partial(read_segment_scores, monitor),
    )
    shadow = partial(standing, state_dir)
    observer = Observer(coordinator, exposition, vetoes, epoch, shadow, labels)
    checkpoints = Checkpoints(state_dir)
    checkpoints.prune()
    controller = RolloutController(coordinator, observer, checkpoints)
    coordinator.fleet.on_check_request = controller.wake
    metrics = RolloutMetrics(controller.known)
    exposition.collectors.append(metrics)
    alerts = RolloutAlerts(AlertStore(state_dir / "monitor" / "alerts.db"))
    return Rollouts(controller, metrics, alerts, vetoes, OnPush(coordinator, config.on_push))
