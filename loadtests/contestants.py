"""What is compared: how each server is started with a model, and how it is spoken to."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .cases import Case
from .encodings import V2, V2_JSON, Encoding
from .wire import build_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .models import ModelFile
    from .scenarios import Scenario

#: Different inputs per run, so that no cache of one answer helps.
DISTINCT_INPUTS = 32
_DISTINCT_LARGE_INPUTS = 4
_LARGE_BYTES = 100_000
#: All features on, whatever the defaults.
SAMPLED = ("--sample-rate", "1")


@dataclass(frozen=True, slots=True)
class Stage:
    """What a server is started with.

    Attributes:
        model: The model to serve.
        port: Port on 127.0.0.1.
        directory: Scratch space of this start.
        slo_seconds: What goodput will be counted against, for servers that can be told.
    """

    model: ModelFile
    port: int
    directory: Path
    slo_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start it."""

    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None


@dataclass(frozen=True, slots=True)
class Contestant:
    """One server in one configuration.

    Attributes:
        name: For reports and ``--only``.
        launch: Turns a stage into a command, writing what it needs into the stage's directory.
        encodings: What it speaks, by the name that scenarios use.
        paths: The targets to ask in turn, for a model's name and an encoding's name.
        ready_seconds: How long a start may take.
        constant: Answers the same to everything: the right answer to the first input.
        note: Its configuration, for the report.
    """

    name: str
    launch: Callable[[Stage], Launch]
    encodings: Mapping[str, Encoding]
    paths: Callable[[str, str], list[str]]
    ready_seconds: float = 60.0
    constant: bool = False
    note: str = ""


def cases_for(
    contestant: Contestant, scenario: Scenario, model: ModelFile, host: str
) -> list[Case]:
    """The requests of a scenario with their right answers, computed with the model itself."""
    encoding = contestant.encodings[scenario.encoding]
    paths = contestant.paths(model.name, scenario.encoding)
    inputs = model.inputs(scenario.rows, 1)[0]
    large = sum(array.nbytes for array in inputs.values()) > _LARGE_BYTES
    distinct = model.inputs(
        scenario.rows, _DISTINCT_LARGE_INPUTS if large else max(DISTINCT_INPUTS, len(paths))
    )
    cases = []
    for position, one in enumerate(distinct):
        encoded = encoding.encode(one)
        path = paths[position % len(paths)]
        request = build_request(host, path, encoded.body, encoded.headers)
        truth = model.outputs(distinct[0] if contestant.constant else one)
        cases.append(Case(request, truth, encoding.decode))
    return cases


def penstock(
    name: str = "penstock",
    *,
    models: int = 1,
    asked: int = 1,
    max_batch_size: int | None = None,
    arguments: tuple[str, ...] = SAMPLED,
    note: str = "all inputs and outputs sampled",
) -> Contestant:
    """Penstock as ``penstock serve`` starts it.

    Args:
        name: For reports.
        models: Served side by side.
        asked: How many of them are asked, in turn.
        max_batch_size: Rows in one run at most; ``None`` leaves it to the server.
        arguments: Further arguments of ``penstock serve``.
        note: For reports.
    """

    def launch(stage: Stage) -> Launch:
        registry = stage.directory / "registry"
        write_copies(registry, stage.model, models)
        settings = []
        if stage.slo_seconds is not None:
            settings.append(f"slo_milliseconds = {stage.slo_seconds * 1e3:g}")
        if max_batch_size is not None:
            settings.append(f"max_batch_size = {max_batch_size}")
        if settings:
            toml = "\n".join(["[batching]", *settings, ""])
            for each in names_of(stage.model.name, models):
                (registry / each / "model.toml").write_text(toml)
        return Launch(serve_command(registry, stage.port, *arguments))

    return Contestant(
        name,
        launch,
        V2,
        lambda model, _: [f"/v2/models/{one}/infer" for one in names_of(model, models)[:asked]],
        ready_seconds=60.0 + 0.2 * models,
        note=note,
    )


def names_of(model: str, models: int) -> list[str]:
    """Names of so many copies of a model; the first keeps its own."""
    return [model, *(f"{model}-{number}" for number in range(1, models))]


def write_copies(registry: Path, model: ModelFile, models: int) -> None:
    """Lay out a registry with so many copies of a model, one version each."""
    for name in names_of(model.name, models):
        version = registry / name / "1"
        version.mkdir(parents=True)
        shutil.copyfile(model.path, version / "model.onnx")


def serve_command(registry: Path, port: int, *arguments: str) -> list[str]:
    """The command line of ``penstock serve`` on loopback, its admin port a free one."""
    command = [str(Path(sys.executable).with_name("penstock")), "serve", str(registry)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--admin-port", "0"]
    return [*command, *arguments]


def echo() -> Contestant:
    """Uvicorn's own protocol class with a fixed answer as long as a real one: the upper bound."""

    def launch(stage: Stage) -> Launch:
        outputs = stage.model.outputs(stage.model.inputs(1, 1)[0])
        answer = stage.directory / "answer"
        encoded = V2_JSON.encode(outputs).body.replace(b'"inputs"', b'"outputs"', 1)
        answer.write_bytes(encoded)
        command = [sys.executable, "-m", "penstock.loadtests.echo"]
        return Launch([*command, "--port", str(stage.port), "--answer", str(answer)])

    return Contestant(
        "bare-echo",
        launch,
        {name: replace(encoding, decode=V2_JSON.decode) for name, encoding in V2.items()},
        lambda model, _: [f"/v2/models/{model}/infer"],
        constant=True,
        note="no model: uvicorn's protocol class answers fixed bytes",
    )


def variants() -> list[Contestant]:
    """Penstock against itself; the server's cores stay the same for all of them."""
    two = (*SAMPLED, "--workers", "2")
    in_turn = "100 models, all asked in turn"
    return [
        penstock(),
        penstock("penstock-unsampled", arguments=("--sample-rate", "0"), note="no samples taken"),
        penstock("penstock-2-workers", arguments=two, note="two worker processes"),
        penstock("penstock-100-models", models=100, note="one of 100 models asked"),
        penstock("penstock-1000-models", models=1000, note="one of 1000 models asked"),
        penstock("penstock-100-in-turn", models=100, asked=100, note=in_turn),
    ]


def single_core_environment() -> dict[str, str]:
    """Keeps numeric libraries from starting threads for cores they may not use.

    And onnxruntime from reporting to its maker, in peers that do not see to it themselves.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ORT_DISABLE_TELEMETRY")
    return dict.fromkeys(names, "1") | {"PATH": os.environ.get("PATH", "")}
