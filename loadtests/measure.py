"""Measuring: servers in turn on the same core, repeated and interleaved, every figure kept.

The server gets one core and the load the others, so that a ratio between two servers is one of
their CPU cost. Every repeat starts every server anew: neither the noise of the machine nor the luck
of one start falls on one server alone, and no idle competitor disturbs.
"""

from __future__ import annotations

import os
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .closed import ClosedLoop
from .connections import Connections
from .contestants import Stage, cases_for
from .open import OpenLoop
from .outcome import OK, Outcome, RunRefused
from .processes import ServerFailed, ServerProcess, free_port, pinned
from .schedule import draw
from .wire import BadResponse, parse_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from .cases import Case
    from .contestants import Contestant
    from .models import ModelFile
    from .scenarios import Scenario

_HOST = "127.0.0.1"
_MILLISECONDS = 1e3
_MICROSECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Plan:
    """How to measure.

    Attributes:
        repeats: Rounds over all servers.
        seconds: Length of each measured window.
        warmup_seconds: Load before it that is not counted.
        server_cores: Where servers run.
        load_cores: Where this process runs meanwhile.
    """

    repeats: int = 5
    seconds: float = 4.0
    warmup_seconds: float = 1.0
    server_cores: AbstractSet[int] = frozenset({0})
    load_cores: AbstractSet[int] = frozenset({1})


@dataclass(frozen=True, slots=True)
class Measurement:
    """One window of one server.

    Attributes:
        scenario: Its name.
        contestant: Its name.
        repeat: From 0.
        figures: By name, the unit in the name.
        statuses: Responses by HTTP status.
        failure: Why there are no figures; empty if there are.
    """

    scenario: str
    contestant: str
    repeat: int
    figures: Mapping[str, float] = field(default_factory=dict)
    statuses: Mapping[int, int] = field(default_factory=dict)
    failure: str = ""


def default_plan(**overrides: float) -> Plan:
    """The first core of this process for servers, the others for load.

    Raises:
        RuntimeError: There is only one core: the load would take the server's time.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:  # noqa: PLR2004
        raise RuntimeError("measuring needs two cores, one for the server and one for the load")
    plan = Plan(server_cores=frozenset(cores[:1]), load_cores=frozenset(cores[1:]))
    return Plan(
        int(overrides.get("repeats", plan.repeats)),
        overrides.get("seconds", plan.seconds),
        overrides.get("warmup_seconds", plan.warmup_seconds),
        plan.server_cores,
        plan.load_cores,
    )


def measure(
    contestants: Sequence[Contestant],
    scenarios: Sequence[Scenario],
    models: Mapping[str, ModelFile],
    plan: Plan,
    tell: Callable[[str], None] = print,
) -> list[Measurement]:
    """Run everything, one server at a time; a server that fails loses its figures, not the run."""
    found: list[Measurement] = []
    with pinned(plan.load_cores):
        for repeat in range(plan.repeats):
            for model in dict.fromkeys(scenario.model for scenario in scenarios):
                for contestant in contestants:
                    tell(f"{repeat + 1}/{plan.repeats} {model} {contestant.name}")
                    chosen = [
                        scenario
                        for scenario in scenarios
                        if scenario.model == model and scenario.encoding in contestant.encodings
                    ]
                    found += _one_start(contestant, chosen, models[model], plan, repeat)
    return found


def _one_start(
    contestant: Contestant,
    scenarios: Sequence[Scenario],
    model: ModelFile,
    plan: Plan,
    repeat: int,
) -> list[Measurement]:
    """All scenarios on one start of one server."""
    if not scenarios:
        return []
    done: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="penstock-load-") as scratch:
        slos = [one.slo_seconds for one in scenarios if one.load_factor is not None]
        stage = Stage(model, free_port(), Path(scratch), min(slos, default=None))
        try:
            with _server(contestant, stage, plan) as server:
                first = cases_for(contestant, scenarios[0], model, _authority(stage))[0]
                server.wait_ready(
                    lambda: answers(_HOST, stage.port, first), contestant.ready_seconds
                )
                for scenario in scenarios:
                    done.append(_window(contestant, scenario, stage, plan, server, repeat, done))
        except (ServerFailed, OSError) as error:
            done += [
                Measurement(scenario.name, contestant.name, repeat, failure=str(error))
                for scenario in scenarios[len(done) :]
            ]
    return done


def _server(contestant: Contestant, stage: Stage, plan: Plan) -> ServerProcess:
    launch = contestant.launch(stage)
    return ServerProcess(
        launch.command,
        stage.directory / "server.log",
        environment=launch.environment,
        cores=plan.server_cores,
        directory=launch.directory,
    )


def _authority(stage: Stage) -> str:
    return f"{_HOST}:{stage.port}"


def answers(host: str, port: int, case: Case, timeout_seconds: float = 5.0) -> bool:
    """Ask once: whether the server is there and answers 200.

    Raises:
        ServerFailed: It answers 200, but wrongly.
    """
    try:
        with socket.create_connection((host, port), timeout_seconds) as connection:
            connection.settimeout(timeout_seconds)
            connection.sendall(case.request)
            data = b""
            while (response := parse_response(data)) is None:
                received = connection.recv(1 << 16)
                if not received:
                    return False
                data += received
    except (OSError, BadResponse):
        return False
    if response.status != OK:
        return False
    fault = case.fault(response)
    if fault:
        raise ServerFailed(f"answers wrongly: {fault}")
    return True


def _window(
    contestant: Contestant,
    scenario: Scenario,
    stage: Stage,
    plan: Plan,
    server: ServerProcess,
    repeat: int,
    before: Sequence[Measurement],
) -> Measurement:
    """Warm up, then measure one scenario."""
    cases = cases_for(contestant, scenario, stage.model, _authority(stage))
    try:
        with Connections(_HOST, stage.port, scenario.connections) as connections:
            if scenario.load_factor is None:
                loop = ClosedLoop(connections, cases)
                loop.run(plan.warmup_seconds)
                cpu = server.cpu_seconds()
                outcome = loop.run(plan.seconds)
            else:
                rate = scenario.load_factor * _capacity(scenario, before)
                opened = OpenLoop(connections, cases)
                opened.run(draw("poisson", 0.5 * rate, plan.warmup_seconds, seed=repeat))
                cpu = server.cpu_seconds()
                outcome = opened.run(draw(scenario.arrivals, rate, plan.seconds, seed=repeat))
            cpu = server.cpu_seconds() - cpu
    except RunRefused as refusal:
        return Measurement(scenario.name, contestant.name, repeat, failure=str(refusal))
    figures = figures_of(outcome, cpu, scenario.slo_seconds)
    figures["memory_mebibytes"] = server.memory_bytes() / 2**20
    return Measurement(scenario.name, contestant.name, repeat, figures, outcome.statuses)


def _capacity(scenario: Scenario, before: Sequence[Measurement]) -> float:
    """What this server did in the closed loop that the scenario names, in this very start."""
    for measurement in before:
        if measurement.scenario == scenario.capacity_from and not measurement.failure:
            return measurement.figures["requests_per_second"]
    raise RunRefused(f"needs the capacity from {scenario.capacity_from}, which has no figures")


def figures_of(outcome: Outcome, cpu_seconds: float, slo_seconds: float) -> dict[str, float]:
    """Figures of one window, each with its unit in its name."""
    right = max(1, outcome.latencies.size)
    return {
        "requests_per_second": outcome.throughput,
        "offered_per_second": outcome.offered / outcome.seconds,
        "cpu_microseconds_per_request": cpu_seconds / right * _MICROSECONDS,
        "p50_milliseconds": outcome.quantile(0.5) * _MILLISECONDS,
        "p99_milliseconds": outcome.quantile(0.99) * _MILLISECONDS,
        "p999_milliseconds": outcome.quantile(0.999) * _MILLISECONDS,
        "goodput_per_second": outcome.goodput(slo_seconds),
        "attainment": outcome.attainment(slo_seconds),
        "unsent": outcome.unsent,
        "unanswered": outcome.unanswered,
        "broken": outcome.broken,
        "lag_p99_milliseconds": outcome.lag_p99_seconds * _MILLISECONDS,
    }
