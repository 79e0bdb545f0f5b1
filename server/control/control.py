"""The control process: makes the target from the registry, and serves the admin port.

It loads no model. The supervisor starts it. When it dies, predictions go on, and the next control
process continues from the files on disk.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.runtimes.discovery import only_built_in
from penstock.server.console.live import Live
from penstock.server.control.api.traffic import TrafficWindow
from penstock.server.control.coordination.coordinator import Coordinator
from penstock.server.control.coordination.deaths_watch import DeathsWatch
from penstock.server.control.coordination.exposition import Exposition
from penstock.server.control.coordination.fleet import Fleet
from penstock.server.control.coordination.gate_runner import GateRunner
from penstock.server.control.coordination.planner import Planner
from penstock.server.control.coordination.quarantine import FILE as QUARANTINE
from penstock.server.control.coordination.quarantine import Quarantine
from penstock.server.control.coordination.standing_alerts import (
    CONFIG,
    StandingAlerts,
    config_faults,
)
from penstock.server.control.coordination.standing_alerts import QUARANTINE as KEPT_OUT
from penstock.server.desired_state.state_file import StateDamaged
from penstock.server.desired_state.store import StateStore
from penstock.server.gates.version_admission import VersionAdmission
from penstock.server.monitor.alert_setup import ALERTS_DATABASE
from penstock.server.onnx_file.inspection import InspectionLimits
from penstock.server.ports.protocol import PortProtocol
from penstock.server.processes.http_server import HttpServer
from penstock.server.processes.process_context import ProcessContext, run
from penstock.server.processes.restart import EXIT_CONFIG
from penstock.server.processes.supervised_task import SupervisedTask
from penstock.server.registry.good_configs import FILE as GOOD_CONFIGS
from penstock.server.registry.good_configs import GoodConfigs
from penstock.server.registry.intake import Intake

from .admin_setup import admin_app
from .rollout_setup import wire_rollouts
from .store_setup import followed_store, registry_works

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from penstock.server.config.config import ServerConfig
    from penstock.server.control.api.app import AdminApp
    from penstock.server.processes.run_directory import RunDirectory

    from .repository_port import RepositoryPort
    from .store_setup import FollowedStore

    Work = Callable[[], Coroutine[Any, Any, None]]

LOG = logging.getLogger("penstock.control")

#: Longer than `penstock.server.worker.link.MAX_RETRY_SECONDS`.
REUNION_SECONDS: Final = 1.2
#: Niceness: predictions on the same processors go first, but a rollback must not wait for long.
NICENESS: Final = 10


def rfc3339(moment: datetime) -> str:
    """A time in the format of the audit log."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def control(context: ProcessContext) -> None:
    """Serve the admin port until told to stop."""
    os.nice(NICENESS)
    config = context.config
    counters = CounterFile.create(context.directory.counters, context.name)
    exposition = Exposition(context.directory.counters, triton=config.metrics_compat == "triton")
    context.incidents.on_count = counters.set_errors
    fleet = Fleet(exposition.render, expected=config.workers)
    assert config.state_dir is not None
    store = _open_store(config.state_dir)
    followed = await followed_store(config, context.directory)
    planner = _planner(config, context.directory, followed)
    if planner.target.number:
        fleet.send_target(planner.target)
    await fleet.listen(context.directory.control_socket)
    # Workers that outlived the former control process connect in a moment; until then the admin
    # port does not answer, so that it does not report "not ready". Connections wait meanwhile.
    if planner.target.number:
        await fleet.wait_converged(REUNION_SECONDS)
    coordinator = Coordinator(config, store, planner, fleet)
    coordinator.served = exposition.served
    traffic = TrafficWindow(exposition)
    rollouts = wire_rollouts(coordinator, exposition, config, context.directory.config)
    stopping = asyncio.Event()
    app = admin_app(config, coordinator, exposition, traffic, context, rollouts, Live(stopping))
    grpc_port = await _open_grpc(app, context)

    def every_second(late_nanoseconds: int) -> None:
        counters.set_loop_lag(late_nanoseconds)
        if grpc_port is not None:
            grpc_port.refresh()

    server = HttpServer(_served(app), every_second, stopping)
    context.watch_parent(server.stop)

    works = app.works | {
        **registry_works(coordinator, followed, app),
        "measuring traffic": traffic.run,
        **rollouts.works(),
        **_version_works(coordinator, config, context.directory),
    }
    tasks = [SupervisedTask(name, work, context.incidents) for name, work in works.items()]
    await server.serve(sockets=[context.sockets[0]])
    if grpc_port is not None:
        await grpc_port.close()
    for task in tasks:
        await task.stop()
    fleet.close()
    store.close()
    counters.close()


async def _open_grpc(app: AdminApp, context: ProcessContext) -> RepositoryPort | None:
    """The gRPC port beside the admin port, if there is one."""
    if not context.sockets[1:]:
        return None
    from .repository_port import RepositoryPort  # it needs an extra

    port = RepositoryPort(app)
    await port.open(context.sockets[1])
    return port


def _version_works(
    coordinator: Coordinator, config: ServerConfig, directory: RunDirectory
) -> dict[str, Work]:
    """The tasks that keep versions out: gates, and deaths of processes over models."""
    assert config.state_dir is not None
    alert_store = AlertStore(config.state_dir / "monitor" / ALERTS_DATABASE)
    config_alerts, kept_out = (
        StandingAlerts(alert_store, CONFIG),
        StandingAlerts(alert_store, KEPT_OUT),
    )
    coordinator.on_problems = lambda problems: config_alerts.note(config_faults(problems))
    return {
        "running gates": GateRunner(config, coordinator).run,
        "telling of configurations": config_alerts.run,
        "telling of versions out of service": kept_out.run,
        "taking out of service what processes die over": DeathsWatch(
            directory.deaths, coordinator, kept_out.note, isolated=directory.pulses
        ).run,
    }


def _served(app: AdminApp) -> uvicorn.Config:
    return uvicorn.Config(
        app, http=PortProtocol, log_config=None, access_log=False, ws="none", lifespan="off"
    )


def _planner(
    config: ServerConfig, directory: RunDirectory, followed: FollowedStore | None
) -> Planner:
    """The planner; without a lasting state versions are loaded from the registry itself."""
    kept = not json.loads(directory.address.read_text())["state_note"]
    intake = Intake(
        config.state_dir if kept else None,
        config.copies_max_bytes,
        config.settle_seconds,
        plugins=not only_built_in(),
        limits=InspectionLimits(custom_operators=bool(config.libraries())),
        remote=None if followed is None else followed.files,
    )
    return Planner(
        config.registry,
        directory.target,
        intake,
        explicit=config.version_policy == "explicit",
        allowed=config.link_roots(),
        quarantine=Quarantine(None if config.state_dir is None else config.state_dir / QUARANTINE),
        admission=VersionAdmission(config.state_dir),
        good=GoodConfigs(None if config.state_dir is None else config.state_dir / GOOD_CONFIGS),
    )


def _open_store(state_dir: Path) -> StateStore:
    try:
        return StateStore(state_dir, lambda: rfc3339(datetime.now(UTC)))
    except StateDamaged as damage:
        LOG.error("%s", damage)  # noqa: TRY400  one line says it
        raise SystemExit(EXIT_CONFIG) from None


if __name__ == "__main__":
    run(control)
