"""A worker and the shadow process as the supervisor starts them, without control: the target that
both read from the disk is written by the test."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.merge import merge
from penstock.server.config.config import ServerConfig
from penstock.server.config.model_config import parse_model_config
from penstock.server.processes.run_directory import RunDirectory
from penstock.server.rollout.traffic import Mirror
from penstock.server.shadow.record import read_record
from penstock.server.target.plan import ModelPlan
from penstock.server.target.target import Target, write_target

MODEL = "twice"
ROLLOUT = "twice-1"

#: A plug-in as somebody might install it. Answers y = 2 * x, and misbehaves as its file says.
PLUGIN = """
import json, os, time
import numpy as np
from penstock.runtimes.contract import ModelExecutionError, Signature, TensorSpec

class Model:
    metadata = {}

    def __init__(self, how):
        self.how = how
        self.kept = []
        shape = (-1, 2)
        inputs, outputs = TensorSpec("x", "FP32", shape), TensorSpec("y", "FP32", shape)
        self.signature = Signature((inputs,), (outputs,), True)

    def execute(self, inputs, outputs):
        how = self.how
        x = inputs[0]
        # Only what clients send: warm-up and golden requests go well.
        if x.size and x[0, 0] >= 1000:
            mode = how.get("mode")
            if mode == "exit":
                os._exit(3)
            if mode == "sleep":
                time.sleep(3600)
            if mode == "leak":
                self.kept.append(b"x" * (8 << 20))
        y = x * np.float32(2)
        if how.get("mode") == "moody":  # the second value of a row says how it is answered
            if (x[:, 1] == -3).any():
                raise ModelExecutionError("it will not")
            y[x[:, 1] == -1] = -7
            y[x[:, 1] == -2] = np.nan
        return [y] if outputs else []

    def unload(self):
        pass

class Runtime:
    platform = "twice"

    def find(self, directory):
        path = directory / "model.twice"
        return path if path.exists() else None

    def load(self, path, options):
        how = json.loads(path.read_text())
        if how.get("mode") == "unloadable":
            from penstock.runtimes.contract import ModelLoadError
            raise ModelLoadError("its file is broken")
        return Model(how)
"""


#: Lets the shadow process and its runner have processors like anybody else: with other tests beside
#: them there may be no idle time.
LIKE_ANYBODY = """
import os
if os.environ.get("SHADOW_LIKE_ANYBODY"):
    os.nice = os.sched_setscheduler = lambda *_: 0
"""
#: The shadow process with less patience than it has.
IMPATIENT = """
from penstock.server.processes import process_context
from penstock.server.shadow import limits, shadow
limits.RUN_SECONDS, limits.GROWTH_BYTES = 1.5, 64 << 20
process_context.run(shadow.shadow)
"""


def wait_until(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def is_gone(pid):
    """Whether a process has ended; its parent may not have asked for its status yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


class Stage:
    """A run directory with a worker and the shadow process."""

    def __init__(
        self, place: Path, versions: dict[int, dict[str, Any]], *, only_idle: bool = False
    ) -> None:
        self.place = place
        self._environ = {} if only_idle else {"SHADOW_LIKE_ANYBODY": "1"}
        plugin = place / "plugin"
        info = plugin / "twice_runtime-1.0.dist-info"
        info.mkdir(parents=True)
        (plugin / "twice_runtime.py").write_text(PLUGIN)
        (plugin / "sitecustomize.py").write_text(LIKE_ANYBODY)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: twice-runtime\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[penstock.runtimes]\ntwice=twice_runtime:Runtime\n")
        self.versions = {}
        for number, how in versions.items():
            directory = place / "registry" / MODEL / str(number)
            directory.mkdir(parents=True)
            (directory / "model.twice").write_text(json.dumps(how))
            self.versions[number] = directory
        self.state = place / "state"
        self.state.mkdir(mode=0o700)
        self.directory = RunDirectory.create(place / "run")
        config = ServerConfig(
            registry=place / "registry", state_dir=self.state, log_level="warning", threads=1
        )
        self.directory.config.write_text(config.to_json())
        self.history, self._pipe_writer = os.pipe()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._number = 0

    def aim(self, percent: float | None = 100.0, name: str = ROLLOUT, **toml: Any) -> None:
        """Write the target: version 1 serves, version 2 is its shadow."""
        self._number += 1
        mirror = None
        if percent is not None:
            mirror = Mirror(name, 2, self.versions[2], percent)
        config = parse_model_config(toml, "model.toml")
        plan = ModelPlan(MODEL, {1: self.versions[1]}, 1, {}, config, pinned=True, mirror=mirror)
        write_target(self.directory.target, Target(self._number, {MODEL: plan}))

    def start(self, name: str, **environ: str) -> subprocess.Popen[bytes]:
        sockets = [self.listener.fileno()] if name.startswith("worker") else []
        program = ["-m", "penstock.server.worker.worker"]
        if name == "shadow":
            program = ["-c", IMPATIENT]
        process = subprocess.Popen(
            [
                sys.executable,
                *program,
                name,
                str(self.directory.path),
                str(os.getpid()),
                str(self.history),
                *map(str, sockets),
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=(self.history, *sockets),
            env=os.environ | {"PYTHONPATH": str(self.place / "plugin")} | self._environ | environ,
        )
        self.processes[name] = process
        return process

    def begun(self) -> bool:
        """Whether the shadow process has begun its work, and the worker answers for the model.

        Raises:
            AssertionError: A process has ended by itself.
        """
        codes = {name: one.poll() for name, one in self.processes.items()}
        assert set(codes.values()) == {None}, f"ended by themselves: {codes}"
        return self.phase() in {"running", "tripped"} and self.ready()

    def ready(self) -> bool:
        """Whether the worker has loaded the model: before that, it answers 503."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with closing(connection):
            connection.request("GET", f"/v2/models/{MODEL}/ready")
            return connection.getresponse().status == 200

    def stop(self, name: str) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.listener.close()
        os.close(self.history)
        os.close(self._pipe_writer)

    def predict(self, count: int, rows: int = 1, mood: float = 1.0) -> list[int]:
        """Statuses of so many requests; the second value of their middle row is `mood`."""
        statuses = []
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with closing(connection):
            for _ in range(count):
                data = [[1000.0 + row, 1.0] for row in range(rows)]
                data[rows // 2][1] = mood
                tensor = {"name": "x", "datatype": "FP32", "shape": [rows, 2], "data": data}
                body = json.dumps({"inputs": [tensor]})
                connection.request("POST", f"/v2/models/{MODEL}/infer", body)
                answer = connection.getresponse()
                answer.read()
                statuses.append(answer.status)
        return statuses

    def counted(self, slot: int) -> int:
        blocks = merge(self.directory.counters).blocks
        return blocks.get((MODEL, "2"), [0] * layout.SLOTS)[slot]

    def settled(self) -> bool:
        """Whether every request that was copied is accounted for."""
        done = self.counted(layout.PAIRS) + self.counted(layout.SHADOW_DROPPED)
        return done == self.counted(layout.SHADOW_COPIED)

    def record(self, rollout: str = ROLLOUT):
        return read_record(self.state, rollout)

    def phase(self, rollout: str = ROLLOUT) -> str:
        record = self.record(rollout)
        return "" if record is None else record.phase

    def runner(self) -> int:
        """The process that the candidate runs in; 0 if there is none."""
        pid = self.processes["shadow"].pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else 0


class Load:
    """Callers who ask as fast as they can, until the end of the block."""

    def __init__(self, stage: Stage, callers: int = 2) -> None:
        self.statuses: list[int] = []
        self._stage = stage
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(callers)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self):
        while not self._over.is_set():
            self.statuses += self._stage.predict(50)


@pytest.fixture
def stage(tmp_path):
    """Make a stage with these versions of a model; they run until the end of the test."""
    stages = []

    def make(
        candidate: dict[str, Any],
        primary: dict[str, Any] | None = None,
        *,
        only_idle: bool = False,
        **toml: Any,
    ) -> Stage:
        one = Stage(tmp_path, {1: primary or {}, 2: candidate}, only_idle=only_idle)
        stages.append(one)
        one.aim(**toml)
        one.start("shadow")
        one.start("worker-0")
        wait_until(one.begun)
        return one

    yield make
    for one in stages:
        one.close()


@pytest.fixture
def load():
    return Load


@pytest.fixture
def gone():
    return is_gone


@pytest.fixture
def until():
    return wait_until
