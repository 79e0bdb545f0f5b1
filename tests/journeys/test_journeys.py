"""The journeys of `docs/design.md` are those of real runs: no file too many, none left out."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from journey import Journey, complaints, journey
from traced_server import module_at, processes, traced_here
from tracer import ROOT, Entry

from penstock.server.cli.main import main
from penstock.server.registry.manifest import MANIFEST_FILE, Manifest, encode_manifest
from penstock.server.registry.verification import hash_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tracer import Trace

EXAMPLES = ROOT / "examples"
MODEL = "breast-cancer"
PREDICTION, ASGI = "a prediction on the fast path", "a prediction over ASGI"
LIVE, DRIFT = "a version becomes live", "a sample reaches the drift verdict"
CANARY = "a canary decision"
#: How many files a journey may have.
MOST = {PREDICTION: 30, ASGI: 30, LIVE: 30, DRIFT: 32, CANARY: 16}


#: The monitor also keeps open windows, and measures healthy ones, by a timer.
TIMED = {
    DRIFT: tuple(
        f"monitoring/drift/{name}.py"
        for name in ("store", "variation", "relations", "column_scores")
    )
}


def check(listed: dict[str, list[str]], name: str, run: Journey) -> None:
    wrong = complaints(listed.get(name, []), run, TIMED.get(name, ()))
    assert not wrong, f"{name}: " + "; ".join(wrong) + f"\nthrough: {run.through}"
    assert len(listed[name]) <= MOST[name]


def test_a_prediction_on_the_fast_path(listed: dict[str, list[str]], prediction: Any) -> None:
    run = prediction("fast")
    check(listed, PREDICTION, run)


def test_a_prediction_over_asgi(listed: dict[str, list[str]], prediction: Any) -> None:
    run = prediction("asgi")
    check(listed, ASGI, run)


def add_version(registry: Path, source: Path, number: int) -> None:
    """Publish a version: complete when it appears."""
    staged = registry.parent / f"staged-{number}"
    shutil.copytree(source, staged)
    manifest = Manifest(MODEL, number, hash_files(staged))
    (staged / MANIFEST_FILE).write_bytes(encode_manifest(manifest))
    staged.rename(registry / MODEL / str(number))


def of_processes(entries: list[Entry], *names: str) -> list[Entry]:
    return [one for one in entries if one.process in names]


@pytest.mark.slow
def test_a_version_becomes_live(
    listed: dict[str, list[str]], serve: Any, trace: Trace, tmp_path: Path
) -> None:
    registry = tmp_path / "registry"
    (registry / MODEL).mkdir(parents=True)
    add_version(registry, EXAMPLES / "registry" / MODEL / "1", 1)
    server = serve(registry, "--sample-rate", "0", "--scan-seconds", "600")
    # A version before the one that is traced: what is done once in a process has been done.
    add_version(registry, EXAMPLES / "registry" / MODEL / "1", 2)
    processes.until(lambda: server.has_said(f"{MODEL}: version 2 answers"))
    processes.until(server.is_settled)
    idle = server.idle()
    trace.switch(on=True)
    add_version(registry, EXAMPLES / "registry" / MODEL / "2", 3)
    processes.until(lambda: server.has_said(f"{MODEL}: version 3 answers"))
    trace.switch(on=False)
    names = "control", "worker", "trial_process"
    run = journey(of_processes(trace.take(), *names), idle)
    check(listed, LIVE, run)


#: Where a sample goes on its way to the verdict. The prediction before it is another journey, and
#: the prediction log and the feedback read the same samples.
OF_SAMPLES = (
    "monitoring/drift/",
    "monitoring/samples/receiver.py",
    "monitoring/samples/run_sample.py",
    "monitoring/samples/sample",
    "monitoring/samples/spool",
    "server/inference/run_observers.py",
    "server/inference/sampling.py",
    "server/monitor/monitor.py",
    "server/worker/sampler.py",
)
MODEL_TOML = """
[monitoring]
window = "1s"
window_rows = 300
calibration_windows = 0
"""


def rows_of_training() -> list[list[float]]:
    with (EXAMPLES / "data" / f"{MODEL}.csv").open() as file:
        _, *table = csv.reader(file)
    return [[float(value) for value in row[:-1]] for row in table]


def body(rows: list[list[float]]) -> bytes:
    tensor = {"name": "features", "datatype": "FP32", "shape": [len(rows), 30], "data": rows}
    return json.dumps({"inputs": [tensor]}).encode()


@pytest.mark.slow
def test_a_sample_reaches_the_drift_verdict(
    listed: dict[str, list[str]], serve: Any, trace: Trace, tmp_path: Path
) -> None:
    registry = tmp_path / "drifting"
    shutil.copytree(EXAMPLES / "registry" / MODEL, registry / MODEL)
    (registry / MODEL / "model.toml").write_text(MODEL_TOML)
    server = serve(registry, "--sample-rate", "1")
    where = ["--admin-url", server.admin_url, "--state-dir", str(tmp_path / "state")]
    train = str(EXAMPLES / "data" / f"{MODEL}.csv")
    assert main(["baseline", "build", MODEL, "2", train, "--target", "target", *where]) == 0
    rows = 2 * rows_of_training()  # more than a window

    def send() -> None:
        for start in range(0, len(rows), 20):
            assert server.ask(MODEL, body(rows[start : start + 20])) == 200

    def verdicts() -> float:
        found = server.metrics()
        return sum(v for name, v in found.items() if name.startswith("penstock_drift_windows"))

    send()
    processes.until(lambda: verdicts() >= 1)
    idle = server.idle()
    trace.switch(on=True)
    send()
    processes.until(lambda: verdicts() >= 2)
    trace.switch(on=False)
    entries = of_processes(trace.take(), "worker", "monitor")
    # What the monitor saved before the samples came is of other samples.
    taken = next(one.at for one in entries if one.function.name == "Receiver.take")
    entries = [one for one in entries if one.process != "monitor" or one.at >= taken]
    run = journey(entries, idle, OF_SAMPLES)
    check(listed, DRIFT, run)


def test_a_canary_decision(
    listed: dict[str, list[str]], trace: Trace, tmp_path: Path, onnx_file: Callable[..., Path]
) -> None:
    """Bad answers of the candidate are counted; the next look takes its share away."""
    run = asyncio.run(decide(trace, tmp_path, onnx_file))
    check(listed, CANARY, run)


async def decide(trace: Trace, tmp_path: Path, onnx_file: Callable[..., Path]) -> Journey:
    tests: Any = module_at("tests/server/processes/test_rollout_controller.py")
    for version in (1, 2, 3):
        at = tmp_path / "registry" / "m" / str(version) / "model.onnx"
        onnx_file(at, [("Relu", ["x"], ["y"])], [("x", "FLOAT", ["n"])], [("y", "FLOAT", ["n"])])
    (tmp_path / "state").mkdir()
    with traced_here(trace):
        stage = tests.Stage(tmp_path, 1)
        following = asyncio.create_task(stage.workers())
        await stage.coordinator.refresh()
        await stage.operations.promote(stage.command("promote"), 1)
        await stage.start()
        await stage.look(1.0)
        following.cancel()
        stage.following = False
        stage.count(1, 50)
        stage.count(2, 50, errors=12)
        stage.now += 1.0
        before = stage.controller.progress("m")
        trace.switch(on=True)
        await stage.controller._look(before)
        trace.switch(on=False)
        assert stage.controller.progress("m").rollout.cause == "evidence"
        stage.store.close()
        for file in stage.files:
            file.close()
    return journey(trace.take())
