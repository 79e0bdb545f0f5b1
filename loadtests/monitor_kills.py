"""``python -m penstock.loadtests.monitor_kills --kills 200 --busy 8``: kill -9 at full load.

The monitor, a worker or control is killed at a random moment, again and again, while other
processes take what there is of the processors. Then no day file may be damaged, no row twice in it,
and every row that was sampled is written, dropped or counted as lost with its worker, exactly.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console

from .books import rows_on_disk, settled_books
from .closed import ClosedLoop
from .connections import Connections
from .contestants import cases_for, penstock
from .managed import Managed
from .models import ModelFile
from .outcome import RunRefused
from .scenarios import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = "breast-cancer"
_CONNECTIONS: Final = 32
_OK: Final = 200
_WORKERS: Final = 2
_CHUNK_SECONDS: Final = 0.5
#: A process that was killed is back by then, also beside others that want the processors.
_BACK_SECONDS: Final = 60.0


class Load:
    """Asks as fast as can be until the end of the block; what breaks is opened again.

    Args:
        port: Port of the server.
        model: What it serves.
        connections: That ask.
    """

    def __init__(self, port: int, model: ModelFile, connections: int = _CONNECTIONS) -> None:
        self._port = port
        self._connections = connections
        scenario = Scenario("json", connections=connections)
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
                Connections("127.0.0.1", self._port, self._connections) as connections,
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
    parser.add_argument("--busy", type=int, default=0, help="processes that only count, meanwhile")
    parser.add_argument("--connections", type=int, default=_CONNECTIONS)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    console = Console(log_path=False)
    dice = random.Random(options.seed)
    victims: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="penstock-kills-") as scratch:
        registry = Path(scratch) / "registry"
        version = registry / _NAME / "1"
        version.mkdir(parents=True)
        shutil.copyfile(options.model, version / "model.onnx")
        place = Path(scratch) / "server"
        with Managed(registry, place, options=("--workers", str(_WORKERS))) as server:
            model = ModelFile(_NAME, options.model)
            with busy(options.busy), Load(server.port, model, options.connections) as load:
                time.sleep(3)
                for number in range(options.kills):
                    victim = kill(server, dice)
                    victims[victim] += 1
                    console.log(f"{number + 1}: {victim}; {load.answered}, {load.errors} errors")
            books = settled_books(server)
        rows, doubled, unsound = rows_on_disk(place / "state", _NAME)
    speed = load.answered / max(1.0, load.seconds) / _WORKERS
    per_kill = books.lost / max(1.0, speed) / max(1, victims["worker"])
    held = {
        f"killed: {dict(victims)}, beside {options.busy} busy processes": True,
        f"damaged: {unsound}": not unsound,
        f"{books}: {books.missing} missing": books.missing == 0,
        f"{rows} rows on disk, {doubled} doubled": rows == books.written and not doubled,
        f"{books.lost} rows lost with workers: {per_kill:.3f} s each": per_kill <= 1.0,
        f"{load.answered} answered of {books.sampled} sampled": load.answered <= books.sampled,
        f"{load.errors} errors": load.errors == 0,
    }
    for what, well in held.items():
        console.print(f"{'ok  ' if well else 'FAIL'} {what}")
    return 0 if all(held.values()) else 1


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that want a processor all the time."""
    code = "while True: pass"
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def kill(server: Managed, dice: random.Random) -> str:
    """Kill one process and wait until it is back; which kind it was."""
    time.sleep(dice.uniform(0.1, 1.5))
    victim = dice.choice(("monitor", "worker", "worker", "control"))
    before = server.pids_of(victim)
    if not before:
        return "nobody"  # it is just being started
    pid = dice.choice(before)
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + _BACK_SECONDS
    while time.monotonic() < end:
        time.sleep(0.1)
        here = server.pids_of(victim)
        if pid not in here and len(here) >= len(before):
            break
    return victim


if __name__ == "__main__":
    raise SystemExit(main())
