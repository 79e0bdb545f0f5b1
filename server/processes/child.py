"""What control and the workers have in common: how they begin, and how they learn to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.server.config import ServerConfig
from penstock.server.logs import configure_logs

from .run_directory import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

LOG = logging.getLogger("penstock.processes")


@dataclass(frozen=True, slots=True)
class Birth:
    """What the supervisor gave this process.

    Attributes:
        name: ``control`` or ``worker-<n>``.
        directory: Where the processes meet.
        config: Of the server.
        listener: The socket to accept from.
        life: Reading end of a pipe that ends with the supervisor.
    """

    name: str
    directory: RunDirectory
    config: ServerConfig
    listener: socket.socket
    life: int

    def watch_parent(self, stop: Callable[[], None]) -> None:
        """Call `stop` on the running loop when the supervisor is gone."""
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(self.life)
            LOG.warning("the supervisor is gone; stopping")
            stop()

        loop.add_reader(self.life, gone)


def begin(arguments: list[str]) -> Birth:
    """Take what the supervisor gave: name, directory and two descriptors, as text."""
    name, path, listener, life = arguments
    directory = RunDirectory(Path(path))
    config = ServerConfig.from_json(directory.config.read_text())
    configure_logs(config, name)
    # Ctrl-C reaches the whole terminal; the supervisor alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return Birth(name, directory, config, socket.socket(fileno=int(listener)), int(life))


def run(main: Callable[[Birth], Coroutine[Any, Any, None]]) -> None:
    """Run a process until its work is done; used as the last line of its module.

    SIGTERM arrives blocked, so that none is lost before `QuietServer` handles it.
    """
    birth = begin(sys.argv[1:])
    try:
        import uvloop  # not on every platform

        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main(birth))
    logging.shutdown()
    os.close(birth.life)
