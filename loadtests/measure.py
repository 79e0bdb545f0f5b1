"""Measuring: servers in turn on the same core, repeated and interleaved, every figure kept.

The server gets one core and the load the others, so that a ratio between two servers is one of
their CPU cost. Every repeat starts every server anew: neither the noise of the machine nor the luck
of one start falls on one server alone, and no idle competitor disturbs.
"""

from __future__ import annotations

import math
import os
import socket
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .closed import ClosedLoop
from .connections import Connections
from .contestants import Stage, cases_for
from .open import OpenLoop
from .outcome import OK, GeneratorLagged, Outcome, RunRefused, figures_of
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

#: A window whose generator lagged is measured again, this often at most.
ATTEMPTS = 3
#: A server that is never idle is measured after this long.
IDLE_SECONDS = 20.0
_HOST = "127.0.0.1"


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
        scenario: Name of the scenario.
        contestant: Name of the contestant.
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
            capacities: dict[tuple[str, str], float] = {}
            for model, slo in dict.fromkeys((one.model, one.slo_seconds) for one in scenarios):
                alike = [s for s in scenarios if (s.model, s.slo_seconds) == (model, slo)]
                for contestant in contestants:
                    chosen = [one for one in alike if _can(contestant, one)]
                    if not chosen:
                        continue
                    tell(f"{repeat + 1}/{plan.repeats} {contestant.name} {chosen[0].name} ...")
                    start = _Start(contestant, models[model], slo, plan, repeat, capacities)
                    found += start.run(chosen)
    return found


def _can(contestant: Contestant, scenario: Scenario) -> bool:
    """A server speaks some encodings; one that runs no model has no capacity to exceed."""
    about_capacity = scenario.load_factor is not None or scenario.is_capacity
    return scenario.encoding in contestant.encodings and not (
        contestant.constant and about_capacity
    )


class _Start:
    """One start of one server, and the windows measured on it.

    Args:
        contestant: The server.
        model: What it serves.
        slo: What it is told to hold.
        plan: How to measure.
        repeat: Which round this is; also the seed of its schedules.
        capacities: Answers per second by (server, scenario), of this round; added to.
    """

    def __init__(
        self,
        contestant: Contestant,
        model: ModelFile,
        slo: float | None,
        plan: Plan,
        repeat: int,
        capacities: dict[tuple[str, str], float],
    ) -> None:
        self._contestant = contestant
        self._model = model
        self._slo = slo
        self._plan = plan
        self._repeat = repeat
        self._capacities = capacities

    def run(self, scenarios: Sequence[Scenario]) -> list[Measurement]:
        """Start, prove that the server answers rightly, measure, stop."""
        done: list[Measurement] = []
        with tempfile.TemporaryDirectory(prefix="loadtest-") as scratch:
            stage = Stage(self._model, free_port(), Path(scratch), self._slo)
            try:
                with self._server(stage) as server:
                    first = self._cases(scenarios[0], stage)[0]
                    server.wait_ready(
                        lambda: answers(_HOST, stage.port, first), self._contestant.ready_seconds
                    )
                    server.wait_idle(IDLE_SECONDS)
                    done.extend(self._window(one, stage, server) for one in scenarios)
            except (ServerFailed, OSError) as error:
                done += [self._failed(one, error) for one in scenarios[len(done) :]]
        return done

    def _server(self, stage: Stage) -> ServerProcess:
        launch = self._contestant.launch(stage)
        return ServerProcess(
            launch.command,
            stage.directory / "server.log",
            environment=launch.environment,
            cores=self._plan.server_cores,
            directory=launch.directory,
        )

    def _cases(self, scenario: Scenario, stage: Stage) -> list[Case]:
        return cases_for(self._contestant, scenario, self._model, f"{_HOST}:{stage.port}")

    def _failed(self, scenario: Scenario, error: Exception) -> Measurement:
        name = self._contestant.name
        return Measurement(scenario.name, name, self._repeat, failure=str(error))

    def _window(self, scenario: Scenario, stage: Stage, server: ServerProcess) -> Measurement:
        """Measure one scenario; again if it was the generator that lagged."""
        cases = self._cases(scenario, stage)
        for attempt in range(ATTEMPTS):
            try:
                figures, outcome = self._attempt(scenario, stage, server, cases)
            except GeneratorLagged as lagged:
                if attempt == ATTEMPTS - 1:
                    return self._failed(scenario, lagged)
            except RunRefused as refusal:
                return self._failed(scenario, refusal)
            else:
                figures["refused_attempts"] = attempt
                name = self._contestant.name
                self._capacities[name, scenario.name] = outcome.throughput
                return Measurement(scenario.name, name, self._repeat, figures, outcome.statuses)
        raise AssertionError("unreachable: the last attempt returns")

    def _attempt(
        self, scenario: Scenario, stage: Stage, server: ServerProcess, cases: Sequence[Case]
    ) -> tuple[dict[str, float], Outcome]:
        with Connections(_HOST, stage.port, scenario.connections) as connections:
            warm_up, run = self._runs(scenario, connections, cases)
            warm_up()
            cpu = server.cpu_seconds()
            outcome = run()
            cpu = server.cpu_seconds() - cpu
        slo = None if scenario.load_factor is None else scenario.slo_seconds
        figures = figures_of(outcome, cpu, slo)
        figures["memory_mebibytes"] = server.memory_bytes() / 2**20
        return figures, outcome

    def _runs(
        self, scenario: Scenario, connections: Connections, cases: Sequence[Case]
    ) -> tuple[Callable[[], Outcome], Callable[[], Outcome]]:
        """The warm-up, which stays below capacity, and the run that counts."""
        plan = self._plan
        if scenario.load_factor is None:
            closed = ClosedLoop(connections, cases)
            return partial(closed.run, plan.warmup_seconds), partial(closed.run, plan.seconds)
        capacity = self._capacities.get((self._contestant.name, scenario.capacity_from or ""))
        if capacity is None:
            raise RunRefused(f"needs the capacity from {scenario.capacity_from}, which failed")
        warming = OpenLoop(connections, cases, lag_limit_seconds=math.inf)
        opened = OpenLoop(connections, cases)
        rate = scenario.load_factor * capacity
        calm = draw("poisson", min(rate, capacity / 2), plan.warmup_seconds, seed=self._repeat)
        full = draw(scenario.arrivals, rate, plan.seconds, seed=self._repeat)
        return partial(warming.run, calm), partial(opened.run, full)


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
