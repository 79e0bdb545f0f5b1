"""The part that all processes have in common: their beginning, and the order to end."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.server.config.config import ServerConfig
from penstock.server.errors.incidents import Incidents

from .live_options import LiveOptions
from .logs import configure_logs
from .parent import die_with_parent
from .pulse import Pulse
from .run_directory import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

LOG = logging.getLogger("penstock.processes")

BEAT_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """The name, the paths and the descriptors that the supervisor gave this process.

    Attributes:
        name: ``control``, ``monitor`` or ``worker-<n>``.
        directory: The run directory, where the processes meet.
        config: Configuration of the server.
        supervisor_pipe: Reading end of a pipe that ends with the supervisor.
        sockets: Listening sockets; empty for a process that has no port. A worker
            has one more if there is a port of gRPC: it does not listen, and tells the address.
        pulse: Signs of life for the supervisor.
        incidents: Errors of this process that no caller is told of.
    """

    name: str
    directory: RunDirectory
    config: ServerConfig
    supervisor_pipe: int
    pulse: Pulse
    sockets: tuple[socket.socket, ...] = ()
    incidents: Incidents = field(default_factory=Incidents)

    def watch_parent(self, stop: Callable[[], None]) -> None:
        """Show the supervisor signs of life, and call `stop` when it is gone."""
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.remove_reader(self.supervisor_pipe)
            LOG.warning("the supervisor is gone; stopping")
            stop()

        loop.add_reader(self.supervisor_pipe, gone)
        self._beat(loop, LiveOptions(self.directory.config, self.config))

    def _beat(self, loop: asyncio.AbstractEventLoop, options: LiveOptions) -> None:
        """A heartbeat each second: the supervisor kills who has none (`watchdog`)."""
        self.pulse.beat()
        loop.call_later(BEAT_SECONDS, self._beat, loop, options)
        options.refresh()


def begin(arguments: list[str]) -> ProcessContext:
    """Take what the supervisor gave: name, directory, its process id and descriptors, as text."""
    name, path, parent, supervisor_pipe, *sockets = arguments
    die_with_parent(int(parent))
    directory = RunDirectory(Path(path))
    config = ServerConfig.from_json(directory.config.read_text())
    configure_logs(config, name)
    # Ctrl-C reaches the whole terminal; the supervisor alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The supervisor has it blocked. An event loop learns by it that a child of its own has ended.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD,))
    accepted = tuple(socket.socket(fileno=int(one)) for one in sockets)
    pulse = _pulse(directory, name, config)
    return ProcessContext(name, directory, config, int(supervisor_pipe), pulse, accepted)


def _pulse(directory: RunDirectory, name: str, config: ServerConfig) -> Pulse:
    threads = config.execution_threads()
    try:
        pulse = Pulse.create(directory.pulse(name), threads)
        crash = directory.crash(name).open("w")
    except OSError as error:  # it works without, and is not looked after
        LOG.error("no signs of life can be given: %s", error)  # noqa: TRY400  one line says it
        return Pulse.private(threads)
    # Where native code crashes, the file says which thread did. It stays open for that.
    faulthandler.enable(crash, all_threads=True)
    return pulse


def run(main: Callable[[ProcessContext], Coroutine[Any, Any, None]]) -> None:
    """Run a process until its work is done; used as the last line of its module.

    SIGTERM arrives blocked, so that none is lost before `QuietServer` handles it.
    """
    context = begin(sys.argv[1:])
    try:
        import uvloop  # not on every platform

        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:
        factory = None
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.get_loop().set_exception_handler(context.incidents.on_loop_error)
            runner.run(main(context))
    finally:
        context.pulse.clear()
    logging.shutdown()
    os.close(context.supervisor_pipe)
    if any(not one.daemon for one in threading.enumerate() if one is not threading.main_thread()):
        # A load, or whatever else a thread is at, may never end, and Python would wait for it.
        os._exit(0)
