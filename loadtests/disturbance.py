"""Stops or kills processes of a server again and again while something is measured."""

from __future__ import annotations

import contextlib
import os
import signal
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Self

from .processes import arguments_of

if TYPE_CHECKING:
    from .managed import Managed

#: What is done -> with which signal.
WAYS: Final = {"hang": signal.SIGSTOP, "crash": signal.SIGKILL}
_AGAIN_SECONDS: Final = 1.0


class Disturbance:
    """Do so until the end of the block. What was stopped goes on then.

    Args:
        server: Whose processes.
        module: That they run.
        way: One of `WAYS`.

    Attributes:
        hit: Processes that got a signal, each as often as it did.
    """

    def __init__(self, server: Managed, module: str, way: str) -> None:
        self._server = server
        self._module = module.encode()
        self._signal = WAYS[way]
        self._over = Event()
        self._thread = Thread(target=self._run)
        self.hit: list[int] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()
        if self._signal is signal.SIGSTOP:
            for pid in set(self.hit):
                _send(pid, signal.SIGCONT)

    def _run(self) -> None:
        while True:
            for pid in self._server.process.pids():
                with contextlib.suppress(OSError):
                    if self._module in arguments_of(pid) and _send(pid, self._signal):
                        self.hit.append(pid)
            if self._over.wait(_AGAIN_SECONDS):
                return


def _send(pid: int, what: signal.Signals) -> bool:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        return False
    return True
