"""``python -m penstock.loadtests.monitor_stopped --seconds 600``: full load without a monitor.

First the monitor is stopped (SIGSTOP) for so long, then the files that it writes may not grow any
more for so long, which is what a full disk is to it. Meanwhile 64 connections ask as fast as they
can. No prediction may fail, the memory of the workers stays bounded, and at the end
accepted = written + dropped, exactly.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from .books import read_books, rows_on_disk, settled_books
from .closed import ClosedLoop
from .connections import Connections
from .contestants import cases_for, penstock
from .managed import Managed
from .models import ModelFile
from .scenarios import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME: Final = "breast-cancer"
_CONNECTIONS: Final = 64
_CHUNK_SECONDS: Final = 5.0
_MEBIBYTE: Final = 1 << 20
#: Samples that wait, frames that wait, and what Python needs to turn one into the other.
_ALLOWED_BYTES: Final = 256 * _MEBIBYTE
_OK: Final = 200


class Trial:
    """One server under load.

    Args:
        server: It.
        model: What it serves.
        console: Told of every chunk.
    """

    def __init__(self, server: Managed, model: ModelFile, console: Console) -> None:
        self._server = server
        self._model = model
        self._console = console
        self.failed = 0
        self.answered = 0
        self.largest = 0

    def load(self, seconds: float, what: str) -> None:
        """Ask as fast as can be for so long."""
        end = time.monotonic() + seconds
        scenario = Scenario("json", connections=_CONNECTIONS)
        host = f"127.0.0.1:{self._server.port}"
        cases = cases_for(penstock(), scenario, self._model, host)
        with Connections("127.0.0.1", self._server.port, _CONNECTIONS) as connections:
            loop = ClosedLoop(connections, cases)
            while (left := end - time.monotonic()) > 0:
                outcome = loop.run(min(_CHUNK_SECONDS, left))
                bad = sum(n for status, n in outcome.statuses.items() if status != _OK)
                self.failed += bad + outcome.broken
                # Answers to what was under way at the end of a chunk are not in its figures.
                self.answered += sum(outcome.statuses.values()) + _CONNECTIONS
                memory = self._server.resident_bytes()
                self.largest = max(self.largest, memory)
                self._console.log(
                    f"{what}: {outcome.throughput:,.0f} requests/s, {self.failed} failed, "
                    f"workers {memory / _MEBIBYTE:.0f} MiB, {read_books(self._server)}"
                )


def main(arguments: list[str] | None = None) -> int:
    """Try, and print; returns 1 if something did not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m penstock.loadtests.monitor_stopped", description=__doc__
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args(arguments)
    console = Console(log_path=False)
    with tempfile.TemporaryDirectory(prefix="penstock-stopped-") as scratch:
        registry = Path(scratch) / "registry"
        version = registry / _NAME / "1"
        version.mkdir(parents=True)
        shutil.copyfile(options.model, version / "model.onnx")
        place = Path(scratch) / "server"
        with Managed(registry, place) as server:
            trial = Trial(server, ModelFile(_NAME, options.model), console)
            trial.load(_CHUNK_SECONDS, "before")
            before = server.resident_bytes()
            monitor = monitor_of(server)
            os.kill(monitor, signal.SIGSTOP)
            trial.load(options.seconds, "stopped")
            os.kill(monitor, signal.SIGCONT)
            trial.load(_CHUNK_SECONDS, "again")
            _full_disk(monitor, place / "state", lambda: trial.load(options.seconds, "disk full"))
            trial.load(_CHUNK_SECONDS, "again")
            books = settled_books(server)
            grown = trial.largest - before
        rows, doubled, unsound = rows_on_disk(place / "state", _NAME)
    held = {
        f"{trial.failed} of {trial.answered} predictions failed": trial.failed == 0,
        f"workers grew by {grown / _MEBIBYTE:.0f} MiB": grown <= _ALLOWED_BYTES,
        f"{books}: {books.missing} missing": books.missing == 0,
        f"accepted {books.sampled}, answered {trial.answered}": books.sampled == trial.answered,
        f"{rows} rows on disk, {doubled} doubled": rows == books.written and not doubled,
        f"damaged: {unsound}": not unsound,
    }
    for what, well in held.items():
        console.print(f"{'ok  ' if well else 'FAIL'} {what}")
    return 0 if all(held.values()) else 1


def monitor_of(server: Managed) -> int:
    """Process id of the monitor."""
    for pid in server.process.pids():
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"penstock.server.monitor.monitor" in arguments:
            return pid
    raise RuntimeError("the server has no monitor")


def _full_disk(monitor: int, state: Path, meanwhile: Callable[[], None]) -> None:
    """No file of this process grows; what that gives the writer is EFBIG in place of ENOSPC."""
    log = state / "monitor" / "log"
    largest = max(path.stat().st_size for path in log.iterdir())
    before = resource.prlimit(monitor, resource.RLIMIT_FSIZE)
    resource.prlimit(monitor, resource.RLIMIT_FSIZE, (largest, before[1]))
    meanwhile()
    resource.prlimit(monitor, resource.RLIMIT_FSIZE, before)


if __name__ == "__main__":
    raise SystemExit(main())
