"""``python -m penstock.loadtests.monitor_kills --kills 100``: kill -9 at full load.

The monitor or a worker is killed at a random moment, again and again. Then no day file may be
damaged, no row twice in it, and every row that was sampled is written, dropped or counted as lost
with its worker: at most what it had sampled in its last moments.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from threading import Event, Thread
from typing import Final, Self

from rich.console import Console

from .books import Books, read_books, rows_on_disk, settled_books
from .closed import ClosedLoop
from .connections import Connections
from .contestants import cases_for, penstock
from .managed import Managed
from .models import ModelFile
from .monitor_stopped import monitor_of
from .outcome import RunRefused
from .scenarios import Scenario

_NAME: Final = "breast-cancer"
_CONNECTIONS: Final = 32
_OK: Final = 200
_WORKERS: Final = 2
_CHUNK_SECONDS: Final = 0.5


class Load:
    """Asks as fast as can be until the end of the block; what breaks is opened again.

    Args:
        port: Of the server.
        model: What it serves.
    """

    def __init__(self, port: int, model: ModelFile) -> None:
        self._port = port
        scenario = Scenario("json", connections=_CONNECTIONS)
        self._cases = cases_for(penstock(), scenario, model, f"127.0.0.1:{port}")
        self._over = Event()
        self._thread = Thread(target=self._run)
        self.answered = 0
        self.errors = 0
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            with (
                contextlib.suppress(OSError, RunRefused),
                Connections("127.0.0.1", self._port, _CONNECTIONS) as connections,
            ):
                outcome = ClosedLoop(connections, self._cases).run(_CHUNK_SECONDS)
                self.answered += outcome.statuses.get(_OK, 0)
                self.seconds += _CHUNK_SECONDS
                self.errors += sum(n for one, n in outcome.statuses.items() if one != _OK)


def main(arguments: list[str] | None = None) -> int:
    """Kill, and print; returns 1 if something did not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m penstock.loadtests.monitor_kills", description=__doc__
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    console = Console(log_path=False)
    dice = random.Random(options.seed)
    losses: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="penstock-kills-") as scratch:
        registry = Path(scratch) / "registry"
        version = registry / _NAME / "1"
        version.mkdir(parents=True)
        shutil.copyfile(options.model, version / "model.onnx")
        place = Path(scratch) / "server"
        with Managed(registry, place, options=("--workers", str(_WORKERS))) as server:
            with Load(server.port, ModelFile(_NAME, options.model)) as load:
                time.sleep(3)
                for number in range(options.kills):
                    victim, lost = _kill(server, dice)
                    losses.append((victim, lost))
                    console.log(f"{number + 1}: {victim}, {lost:.2f} s of its rows, {load.errors}")
            books = settled_books(server)
        rows, doubled, unsound = rows_on_disk(place / "state", _NAME)
    worst = max(seconds for _, seconds in losses)
    killed = sum(victim == "worker" for victim, _ in losses)
    # What is counted late is in no kill's figure, but it is in the sum.
    speed = load.answered / load.seconds / _WORKERS
    per_kill = books.lost / speed / max(1, killed)
    held = {
        f"damaged: {unsound}": not unsound,
        f"{books}: {books.missing} missing": books.missing == 0,
        f"{rows} rows on disk, {doubled} doubled": rows == books.written and not doubled,
        f"most lost with one kill: {worst:.2f} s of rows": worst <= 1.0,
        f"{books.lost} rows lost with {killed} workers: {per_kill:.3f} s each": per_kill <= 1.0,
        f"{load.answered} answered, {load.errors} errors": load.errors == 0,
    }
    for what, well in held.items():
        console.print(f"{'ok  ' if well else 'FAIL'} {what}")
    return 0 if all(held.values()) else 1


def _kill(server: Managed, dice: random.Random) -> tuple[str, float]:
    """Kill one process and wait until it is back; who, and seconds of rows that went with it."""
    time.sleep(dice.uniform(0.5, 2.0))
    before, began = read_books(server), time.monotonic()
    time.sleep(1.0)
    speed = _rows(before, read_books(server)) / (time.monotonic() - began)
    lost = read_books(server).lost
    victim = dice.choice(("monitor", "monitor", "worker"))
    pid = monitor_of(server) if victim == "monitor" else dice.choice(server.workers())
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        time.sleep(0.2)
        with contextlib.suppress(RuntimeError, OSError):
            back = monitor_of(server) if victim == "monitor" else 0
            if len(server.workers()) == _WORKERS and back != pid:
                break
    if victim == "worker":
        time.sleep(7)  # longer than the monitor takes between two looks at who is gone
    return victim, (read_books(server).lost - lost) / max(1.0, speed / _WORKERS)


def _rows(before: Books, after: Books) -> int:
    return after.sampled - before.sampled


if __name__ == "__main__":
    raise SystemExit(main())
