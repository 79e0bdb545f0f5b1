"""Servers whose calls are written down: as processes, and in this one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tracer import ROOT, Trace, Tracer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tracer import Entry

TRACED = Path(__file__).with_name("traced.py")
#: How long a server that nobody asks is watched: longer than the period of what it does by itself.
IDLE_SECONDS = 2.5
MOST_TIMES = 12


def module_at(path: str) -> Any:
    """A module of the tests, by its path below the root of the project."""
    spec = importlib.util.spec_from_file_location(Path(path).stem + "_of_journeys", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


processes: Any = module_at("tests/server/processes/conftest.py")


@contextmanager
def traced_here(trace: Trace) -> Iterator[None]:
    """Trace this thread, and those that start inside."""
    before, tracer = sys.getprofile(), Tracer(trace.directory, "here")
    tracer.install()
    try:
        yield
    finally:
        tracer.remove()
        sys.setprofile(before)


class TracedServer(processes.Server):  # type: ignore[misc]  # from a module of tests
    """A running ``penstock serve`` whose processes are traced."""

    def __init__(self, trace: Trace, place: Path, registry: Path, *options: str) -> None:
        self.errors = place / "errors"
        self.trace = trace
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
        environ["PENSTOCK_MONITOR_PRIORITY"] = "low"
        where = ["--port", "0", "--admin-port", "0"]
        where += ["--run-dir", str(place / "run"), "--state-dir", str(place / "state")]
        command = [sys.executable, "-P", str(TRACED), str(trace.directory)]
        command += ["-m", "penstock.server.cli.main", "serve", str(registry)]
        with self.errors.open("w") as errors:
            super().__init__(
                subprocess.Popen(
                    [*command, *where, *options],
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    env=environ,
                )
            )
        self.token = (place / "state" / "admin-token").read_text().strip()

    def is_settled(self) -> bool:
        """Whether its workers serve what they are to."""
        try:
            ready, _ = self.once(self.admin_url, "/v2/health/ready")
            return ready == 200 and bool(self.status()["converged"])
        except OSError:
            return False

    def has_said(self, text: str) -> bool:
        """Whether this stands in the log."""
        return text in self.errors.read_text()

    def idle(self) -> list[Entry]:
        """What its processes do while nothing happens, until they do nothing new.

        What a timer of several seconds does is not in each of the times. The first time is left
        out: what happened before may not be over.
        """
        self._watch()
        found: list[Entry] = []
        for _ in range(MOST_TIMES):
            known = {(one.process, one.function) for one in found}
            found += self._watch()
            if known and known >= {(one.process, one.function) for one in found}:
                return found
        pytest.fail(f"the server is never idle: {sorted({e.function.file for e in found})}")

    def _watch(self) -> list[Entry]:
        self.trace.switch(on=True)
        time.sleep(IDLE_SECONDS)  # not a wait for anything: nothing is to happen
        self.trace.switch(on=False)
        return self.trace.take()
