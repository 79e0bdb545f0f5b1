"""A program on this machine, which is followed, also by the next process of the server.

Each run has a directory: ``order.json``, which is the program's standard input, ``output.log``, and
at the end ``result.json``. `penstock.server.retrain.targets.command_run` writes them.
"""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from penstock.monitoring.distribution import python_command
from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError, read_json
from penstock.server.files.durable import locked, remove_tree
from penstock.server.isolation.environment import foreign_environment

from .contract import Standing, TargetFailed

if TYPE_CHECKING:
    from pathlib import Path

    from .contract import Order

ORDER: Final = "order.json"
OUTPUT: Final = "output.log"
RESULT: Final = "result.json"
#: It holds the lock while the program runs, and is there once the program was started.
LOCK: Final = "lock"
#: Directories of earlier runs of one model that are kept.
KEPT: Final = 20
_MODULE: Final = "penstock.server.retrain.targets.command_run"
_MAX_RESULT_BYTES: Final = 64 * 1024
_START_SECONDS: Final = 60.0
_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


class Result(msgspec.Struct, frozen=True):
    """How a program ended: whether well, and in words."""

    succeeded: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """One program.

    Attributes:
        command: The program and its arguments.
        place: Directory for the directories of its runs; made with the first one.
    """

    command: tuple[str, ...]
    place: Path

    def start(self, order: Order) -> str:
        """See `penstock.server.retrain.targets.contract.Target.start`.

        The lock is taken before the program is started, and `LOCK` is made with it: where that file
        is, the program was started, and is not started again.
        """
        directory = self.place / order.key
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remove_old()
            if not (directory / LOCK).exists():
                replace_file(directory / ORDER, orjson.dumps(order.payload), 0o600)
                self._begin(directory, order.time_limit)
        except OSError as error:
            raise TargetFailed(f"{self.command[0]}: {error}") from None
        return order.key

    def look(self, handle: str) -> Standing:
        """See `penstock.server.retrain.targets.contract.Target.look`."""
        if not _SAFE.fullmatch(handle):
            raise TargetFailed(f"{handle!r} names no run")
        directory = self.place / handle
        running = False
        with suppress(OSError):
            try:
                with locked(directory / LOCK, wait=False):
                    pass
            except BlockingIOError:
                running = True
        if running:
            return Standing(ended=False, succeeded=False, detail="it runs")
        try:
            content = read_bounded(directory / RESULT, _MAX_RESULT_BYTES)
            result = read_json(Result, content, RESULT)
        except (OSError, ContentError):
            return Standing(
                ended=True, succeeded=False, detail="it was killed, or the machine stopped"
            )
        return Standing(ended=True, succeeded=result.succeeded, detail=result.detail)

    def _begin(self, directory: Path, time_limit: float) -> None:
        arguments = [str(directory), str(time_limit), *self.command]
        done = subprocess.run(  # noqa: S603  the operator's command
            python_command("-m", _MODULE, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=foreign_environment(),
            start_new_session=True,  # it goes on when this process ends
            timeout=_START_SECONDS,
            check=False,
        )
        if done.returncode:
            told = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no reason"]
            raise TargetFailed(f"{self.command[0]}: {told[0][:500]}")

    def _remove_old(self) -> None:
        """Remove the directories of runs that ended long ago."""
        runs = sorted(self.place.iterdir(), key=lambda one: one.stat().st_mtime)
        for one in runs[:-KEPT]:
            if (one / RESULT).exists():
                remove_tree(one)
