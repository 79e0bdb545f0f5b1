"""What the processes have in common: how they begin, and how they learn to end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.server.config import ServerConfig
from penstock.server.incidents import Incidents
from penstock.server.logs import configure_logs
from penstock.server.parent import die_with_parent

from .run_directory import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

LOG = logging.getLogger("penstock.processes")


@dataclass(frozen=True, slots=True)
class Birth:
    """What the supervisor gave this process.

    Attributes:
        name: ``control``, ``monitor`` or ``worker-<n>``.
        directory: Where the processes meet.
        config: Of the server.
        life: Reading end of a pipe that ends with the supervisor.
        sockets: What to accept connections from; empty for a process that has no port.
        incidents: Errors of this process that no caller is told of.
    """

    name: str
    directory: RunDirectory
    config: ServerConfig
    life: int
    sockets: tuple[socket.socket, ...] = ()
    incidents: Incidents = field(default_factory=Incidents)

    def watch_parent(self, stop: Callable[[], None]) -> None:
        """Call `stop` on the running loop when the supervisor is gone."""
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(self.life)
            LOG.warning("the supervisor is gone; stopping")
            stop()

        loop.add_reader(self.life, gone)


def begin(arguments: list[str]) -> Birth:
    """Take what the supervisor gave: name, directory, its process id and descriptors, as text."""
    name, path, parent, life, *sockets = arguments
    die_with_parent(int(parent))
    directory = RunDirectory(Path(path))
    config = ServerConfig.from_json(directory.config.read_text())
    configure_logs(config, name)
    # Ctrl-C reaches the whole terminal; the supervisor alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    accepted = tuple(socket.socket(fileno=int(one)) for one in sockets)
    return Birth(name, directory, config, int(life), accepted)


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
        runner.get_loop().set_exception_handler(birth.incidents.on_loop_error)
        runner.run(main(birth))
    logging.shutdown()
    os.close(birth.life)
    if any(not one.daemon for one in threading.enumerate() if one is not threading.main_thread()):
        # A load, or whatever else a thread is at, may never end, and Python would wait for it.
        os._exit(0)
