"""The admin port of the control process: which parts answer what."""

from __future__ import annotations

import json
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.alerts.metrics import AlertsCollector
from penstock.monitoring.alerts.mutes import MUTES_FILE, MutesFile
from penstock.monitoring.distribution import server_version
from penstock.monitoring.drift.metrics import DriftCollector
from penstock.monitoring.feedback.metrics import FeedbackCollector
from penstock.monitoring.files.decoding import ContentError
from penstock.server.auth.sessions import Sessions
from penstock.server.auth.tokens import Tokens
from penstock.server.console.console import Console
from penstock.server.console.drift_pages import drift_routes
from penstock.server.console.entrance import Entrance
from penstock.server.console.gates_pages import gates_routes
from penstock.server.console.labels_pages import label_routes
from penstock.server.console.mutes_section import mute_routes
from penstock.server.console.predictions_pages import prediction_routes
from penstock.server.console.query_pages import query_routes
from penstock.server.console.try_pages import try_routes
from penstock.server.control.api import audit_api, console_api, traffic_api
from penstock.server.control.api.access import Access, reads_are_open
from penstock.server.control.api.alerts_api import AlertsApi
from penstock.server.control.api.app import AdminApp
from penstock.server.control.api.audit_history import AuditHistory
from penstock.server.control.api.baseline_api import BaselineApi
from penstock.server.control.api.deploy_command import DeployCommand
from penstock.server.control.api.drift_api import DriftApi
from penstock.server.control.api.erase_api import EraseApi
from penstock.server.control.api.gates_api import GatesApi
from penstock.server.control.api.labels_api import LabelsApi
from penstock.server.control.api.lineage_api import LineageApi
from penstock.server.control.api.log_status import damaged_files
from penstock.server.control.api.monitor_client import MonitorClient
from penstock.server.control.api.mutes_api import MutesApi
from penstock.server.control.api.operations import Operations
from penstock.server.control.api.performance_api import PerformanceApi
from penstock.server.control.api.prediction_client import PredictionClient
from penstock.server.control.api.predictions_api import PredictionsApi
from penstock.server.control.api.rollback_check import RollbackCheck
from penstock.server.control.api.saved_queries import QUERIES_FILE, SavedQueries
from penstock.server.control.api.try_api import TryApi
from penstock.server.control.api.version_metrics import VersionMetrics
from penstock.server.desired_state.audit import read_log
from penstock.server.desired_state.store import StateStore, tell
from penstock.server.drift.versions import WINDOWS
from penstock.server.files.config_error import ConfigError
from penstock.server.log_query.query_process import QueryProcesses
from penstock.server.monitor.alert_setup import ALERTS_DATABASE, alerts_file
from penstock.server.ports.border import Border
from penstock.server.processes.restart import EXIT_CONFIG
from penstock.server.processes.restart_history import read_history
from penstock.server.processes.state_directory import TOKEN_FILE
from penstock.server.worker.feedback_client import FeedbackClient

from .batch_setup import Batches
from .follow_setup import Following
from .retrain_setup import Retraining

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from prometheus_client.registry import Collector

    from penstock.monitoring.alerts.alerts_file import AlertsFile
    from penstock.server.config.config import ServerConfig
    from penstock.server.console.live import Live
    from penstock.server.console.routes import Routes
    from penstock.server.control.api.openapi import Endpoint
    from penstock.server.control.api.routes import Handler
    from penstock.server.control.api.traffic import TrafficWindow
    from penstock.server.control.coordination.coordinator import Coordinator
    from penstock.server.control.coordination.exposition import Exposition
    from penstock.server.processes.process_context import ProcessContext
    from penstock.server.processes.run_directory import RunDirectory

    from .rollout_setup import Rollouts


LOG = logging.getLogger("penstock.control")

#: In the directory of the pulses: control has been through its start.
STARTED: Final = "control.started"


def admin_app(
    config: ServerConfig,
    coordinator: Coordinator,
    exposition: Exposition,
    traffic: TrafficWindow,
    context: ProcessContext,
    rollouts: Rollouts,
    live: Live,
) -> AdminApp:
    """The admin port: its endpoints, the console, and what they read.

    Args:
        config: Configuration of the server.
        coordinator: Target, desired state and workers.
        exposition: Merged metrics.
        traffic: Figures of the last minute and hour.
        context: Of this process.
        rollouts: All that carries rollouts.
        live: Tells open pages when to show themselves anew.

    Raises:
        SystemExit: The tokens file or the alerts file is damaged at the first start.
    """
    directory = context.directory
    address = json.loads(directory.address.read_text())
    audit_history = AuditHistory()
    _follow_log(coordinator.store, audit_history, rollouts)
    assert config.state_dir is not None
    tokens, told = _tokens_and_alerts(config, directory)
    deploy = DeployCommand(coordinator, audit_history, config.admin_timeout_seconds)
    check = RollbackCheck(coordinator, config, directory.config)
    operations = Operations(deploy, rollouts.controller, check)
    parts = _parts(config, coordinator, operations, address["predict_url"])
    access = Access(tokens, open_reads=reads_are_open(config))
    monitor = config.state_dir / "monitor"
    exposition.collectors += _collectors(monitor, config, coordinator)
    exposition.collectors += [part.metrics for part in parts]
    sessions = Sessions()
    drift = DriftApi(coordinator, monitor)
    more = {
        **audit_api.handlers(coordinator.store.audit),
        **traffic_api.handlers(traffic.hour),
        **console_api.handlers(sessions, tokens),
        **drift.handlers(),
        **_watching(coordinator, monitor, told),
        **_looking_up(coordinator, monitor, config.registry.absolute(), directory),
        **EraseApi(coordinator, config.state_dir).handlers(),
        **TryApi(_prediction_client(config, address["predict_url"])).handlers(),
        **rollouts.handlers(deploy, coordinator, exposition, config.state_dir, traffic),
    }
    for part in parts:
        more |= part.handlers()
    about = _about(config, address)
    app = AdminApp(coordinator, operations, audit_history, traffic, exposition, access, about, more)
    app.border = Border.of(config, config.admin_host)
    entrance = Entrance(app.endpoints, tokens, sessions, app.border.prefix)
    app.console = Console(entrance, live, _console_parts(drift))
    app.status.progress = rollouts.controller.progress
    app.status.problems = [partial(damaged_files, monitor), _config_problems(config, tokens, told)]
    for part in parts:
        part.attach(app)
    _complete_status(app, config, context)
    return app


def _parts(
    config: ServerConfig, coordinator: Coordinator, operations: Operations, predict_url: str
) -> tuple[Following, Batches, Retraining]:
    """The parts that have endpoints, metrics and tasks of their own."""
    return (
        Following(config, coordinator, operations),
        Batches(config, coordinator, predict_url),
        Retraining(config, coordinator),
    )


def _complete_status(app: AdminApp, config: ServerConfig, context: ProcessContext) -> None:
    """Give the status what other processes and this one tell of themselves."""
    directory = context.directory
    app.status.histories = partial(read_history, directory.histories)
    app.status.sample_rate = config.sample_rate
    app.status.monitored = MonitorClient(directory.monitor_socket).ask
    app.status.incidents = context.incidents.report


def _about(config: ServerConfig, address: dict[str, str]) -> dict[str, Any]:
    """What the status says of the server."""
    return {
        "server": {"name": "penstock", "version": server_version()},
        "registry": config.store or str(config.registry),
        "state_dir": address["state_dir"],
        "state_note": address["state_note"],
    }


def _watching(coordinator: Coordinator, monitor: Path, told: AlertsFile) -> dict[Endpoint, Handler]:
    """The endpoints of what the monitor process keeps."""
    return {
        **MutesApi(coordinator, MutesFile(monitor / MUTES_FILE)).handlers(),
        **AlertsApi(monitor / ALERTS_DATABASE, told).handlers(),
        **BaselineApi(coordinator, monitor).handlers(),
        **PerformanceApi(coordinator, monitor).handlers(),
    }


def _looking_up(
    coordinator: Coordinator, monitor: Path, registry: Path, directory: RunDirectory
) -> dict[Endpoint, Handler]:
    """Where versions come from, labels, and the prediction log, which control never reads."""
    processes, queries = QueryProcesses(monitor, registry), SavedQueries(monitor / QUERIES_FILE)
    return {
        **LineageApi(coordinator, registry).handlers(),
        **GatesApi(coordinator, registry).handlers(),
        **LabelsApi(FeedbackClient(directory.monitor_socket)).handlers(),
        **PredictionsApi(processes, queries, coordinator.store).handlers(),
    }


def _console_parts(drift: DriftApi) -> list[Routes]:
    """The pages of the console that are not its own."""
    return [
        try_routes(),
        drift_routes(drift.page),
        mute_routes(),
        gates_routes(),
        prediction_routes(),
        query_routes(),
        label_routes(),
    ]


def _prediction_client(config: ServerConfig, url: str) -> PredictionClient:
    """The prediction port, asked with the server's own token where it asks for one."""
    assert config.state_dir is not None
    token = config.state_dir / TOKEN_FILE if config.require_predict_token else None
    return PredictionClient(url, config.ssl_certfile, token)


def _tokens_and_alerts(config: ServerConfig, directory: RunDirectory) -> tuple[Tokens, AlertsFile]:
    """Both files; a file that is damaged ends the first start of control, and no later one."""
    assert config.state_dir is not None
    try:
        started = directory.pulses / STARTED
        own, listed = config.state_dir / TOKEN_FILE, config.tokens_file
        again = started.exists()
        tokens = Tokens(own, listed, patient=again)
        told = alerts_file(config, config.state_dir / "monitor", strict=not again)
        started.touch()  # after the first start a damaged file is not fatal
    except (ConfigError, OSError) as error:
        LOG.error("%s", error)  # noqa: TRY400  one line says it
        raise SystemExit(EXIT_CONFIG) from None
    return tokens, told


def _config_problems(
    config: ServerConfig, tokens: Tokens, told: AlertsFile
) -> Callable[[], list[dict[str, str]]]:
    """Gives the problems of configuration files that are not in force as they are."""

    def problems() -> list[dict[str, str]]:
        tokens.refresh()
        told.current()
        found = (config.tokens_file, tokens.problem), (config.alerts_file, told.problem)
        return [{"path": str(path), "reason": problem} for path, problem in found if problem]

    return problems


def _follow_log(store: StateStore, audit_history: AuditHistory, rollouts: Rollouts) -> None:
    """Give all records of the audit log to these listeners, past and future ones."""
    try:
        for record in read_log(store.audit):
            tell(record, audit_history.add, rollouts.add_past)
    except ContentError as error:
        LOG.error("the audit log is damaged: %s", error)  # noqa: TRY400  one line says it

    store.subscribers = [audit_history.add, rollouts.metrics.add, rollouts.alerts.add]


def _collectors(monitor: Path, config: ServerConfig, coordinator: Coordinator) -> list[Collector]:
    """The collectors of metrics that are no counters."""
    return [
        DriftCollector(monitor / WINDOWS),
        FeedbackCollector(monitor),
        AlertsCollector(monitor / ALERTS_DATABASE, config.slo_objective),
        VersionMetrics(coordinator),
    ]
