"""The parent of all processes: opens the sockets, starts the others, and restarts those that die.

It knows nothing of HTTP, models or metrics, imports the standard library only, and waits in one
system call for a signal or for the next restart that is due. The kernel ends its children when it
dies (see `penstock.server.processes.parent`); where the kernel cannot, the end of a pipe tells
them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.monitoring.distribution import python_command
from penstock.server.processes.descendants import end_marked, owner_mark
from penstock.server.processes.exits import describe_exit
from penstock.server.processes.restart import EXIT_CONFIG, after_death
from penstock.server.processes.restart_history import ProcessHistory, write_history
from penstock.server.processes.watchdog import CHECK_SECONDS

from .guard import Guard

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from penstock.server.config.config import ServerConfig
    from penstock.server.processes.run_directory import RunDirectory

#: A stop takes the drain and so much more, at most: whatever runs or loads, who is late is killed.
STOP_SECONDS: Final = 2.0
#: Of these, what is left to the other processes when a worker used up its time.
_OTHERS_SECONDS: Final = 0.75
#: How long the end of a killed process is waited for.
_KILLED_SECONDS: Final = 0.25
#: A process that finds the configuration wrong so soon after the start of the server, in its first
#: life, stops the server. In a later life it finds what somebody has changed meanwhile.
_STARTING_SECONDS: Final = 60.0

#: After an error of the supervisor itself, before it goes on.
RECOVERY_SECONDS: Final = 1.0

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP)


@dataclass(slots=True)
class Child:
    """One process to keep alive.

    Attributes:
        name: ``control``, ``monitor`` or ``worker-<n>``.
        command: Its arguments after the interpreter.
        descriptors: Descriptors that the process inherits.
        process: The running process; ``None`` while there is none.
        mark: Value in the environment by which the processes that it starts are found.
        started_at: Time at which it was started.
        failures: Consecutive runs that ended after a short time.
        deaths: Number of all its deaths.
        due_at: Time of the next start, while it is dead.
        history: Its deaths and restarts; ``None`` before its first death.
    """

    name: str
    command: tuple[str, ...]
    descriptors: tuple[int, ...]
    process: subprocess.Popen[bytes] | None = None
    mark: str = ""
    started_at: float = 0.0
    failures: int = 0
    deaths: int = 0
    due_at: float = 0.0
    history: ProcessHistory | None = None


class Supervisor:
    """Keeps control, the monitor and the workers alive until it is told to stop.

    Args:
        config: Configuration of the server.
        directory: The run directory, where its processes meet.
        listener: Prediction port, shared by all workers.
        admin_listener: Admin port, for control.
        say: Tells the operator something.
        reread: Reads the configuration again; returns what came of it, in words.
        clock: Monotonic seconds.
        wall_clock: Unix seconds.
        grpc_ports: Keep the ports of gRPC for the workers and for control; ``None`` without one.
    """

    def __init__(
        self,
        config: ServerConfig,
        directory: RunDirectory,
        listener: socket.socket,
        admin_listener: socket.socket,
        say: Callable[[str], None],
        reread: Callable[[], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        grpc_ports: tuple[socket.socket | None, socket.socket | None] = (None, None),
    ) -> None:
        self._histories_file = directory.histories
        self._drain_seconds = config.drain_seconds
        self._guard = Guard(directory, clock, wall_clock)
        self._listener = listener
        self._say = say
        self._reread = reread
        self._clock = clock
        self._wall_clock = wall_clock
        # Only we hold the writing end: it closes when we die, whatever kills us.
        self._pipe_reader, self._pipe_writer = os.pipe()
        # Started before the workers, and stopped after them: what the last answers left behind
        # still has somewhere to go.
        self._others = [
            self._child("control", directory, admin_listener, grpc_ports[1]),
            self._child("shadow", directory),
        ]
        if config.sample_rate > 0:
            self._others.append(self._child("monitor", directory))
        self._workers = [
            self._child(f"worker-{number}", directory, listener, grpc_ports[0])
            for number in range(config.workers)
        ]

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit status."""
        # Blocked signals wait in the kernel until sigtimedwait fetches them: no handler, no race.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            status = self._keep_alive()
            self._listener.close()
            end = self._clock() + self._drain_seconds + STOP_SECONDS
            self._stop(self._workers, end - _OTHERS_SECONDS)
            self._stop(self._others, end - _KILLED_SECONDS)
            return status
        finally:
            os.close(self._pipe_writer)
            os.close(self._pipe_reader)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _child(self, name: str, directory: RunDirectory, *listeners: socket.socket | None) -> Child:
        """A process named like its module, with a number behind it if there are several."""
        module = name.partition("-")[0]
        sockets = tuple(one.fileno() for one in listeners if one is not None)
        command = (
            "-m",
            f"penstock.server.{module}.{module}",
            name,
            str(directory.path),
            str(os.getpid()),
            str(self._pipe_reader),
            *map(str, sockets),
        )
        return Child(name, command, (self._pipe_reader, *sockets))

    def _keep_alive(self) -> int:
        """Start and restart until there is a reason to stop; 0 if that is a signal."""
        children = [*self._others, *self._workers]
        while True:
            try:
                status = self._turn(children)
            except Exception as error:  # noqa: BLE001  nobody starts the supervisor again
                self._tell(f"unexpected error in the supervisor, going on: {error!r}")
                status = self._obey(self._wait(self._clock() + RECOVERY_SECONDS))
            if status is not None:
                return status

    def _turn(self, children: list[Child]) -> int | None:
        """Note deaths, start what is due, and wait; returns the status to stop with, if any."""
        for child, pid, code in self._reap(children):
            if code == EXIT_CONFIG and self._at_start(child):
                self._tell(f"{child.name} cannot start with this configuration; stopping")
                return 1
            self._bury(child, self._guard.bury(child.name, pid, code, describe_exit(code)))
        for child in children:
            if child.process is None and child.due_at <= self._clock():
                self._start(child)
        self._look_after(children)
        due = [child.due_at for child in children if child.process is None]
        return self._obey(self._wait(min(due, default=self._guard.due_at)))

    def _look_after(self, children: list[Child]) -> None:
        """Kill the processes that stand still, when the time for a look has come."""
        if self._clock() < self._guard.due_at:
            return
        self._guard.due_at = self._clock() + CHECK_SECONDS
        for child in children:
            if child.process is not None:
                fault = self._guard.check_process(child.name, child.process.pid)
                if fault is not None:
                    self._tell(f"{child.name} {fault.reason}; killing it")
                    self._signal(child, signal.SIGKILL)

    def _obey(self, received: int | None) -> int | None:
        """The status to stop with if this signal says so."""
        if received in {signal.SIGTERM, signal.SIGINT}:
            self._tell("stopping: no new connections, finishing what was accepted")
            return 0
        if received == signal.SIGHUP and self._reread is not None:
            self._tell(self._reread())
        return None

    def _tell(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the reader is gone: no reason to stop
            self._say(text)

    def _at_start(self, child: Child) -> bool:
        """Whether this is the first life of a process, and it has hardly begun."""
        return not child.deaths and self._clock() - child.started_at < _STARTING_SECONDS

    def _bury(self, child: Child, how: str) -> None:
        """Decide when it is started again, and say so: to the operator, and to control."""
        now = self._clock()
        restart = after_death(child.failures, child.started_at, now)
        child.failures, child.due_at = restart.failures, restart.at
        child.deaths += 1
        delay = max(0.0, restart.at - now)
        wall = self._wall_clock()
        child.history = ProcessHistory(
            child.name, child.deaths, child.failures, how, wall, wall + delay
        )
        histories = (one.history for one in (*self._others, *self._workers))
        with suppress(OSError):  # a full disk must not take the server down
            write_history(
                self._histories_file, [history for history in histories if history is not None]
            )
        times = f" ({child.failures} times in a row)" if child.failures > 1 else ""
        self._tell(f"{child.name} {how}{times}; starting it again in {delay:.1f} s")

    def _start(self, child: Child) -> None:
        child.started_at = self._clock()
        try:
            child.process = subprocess.Popen(  # noqa: S603  our own interpreter and modules
                python_command(*child.command),
                stdin=subprocess.DEVNULL,
                pass_fds=child.descriptors,
            )
        except (OSError, subprocess.SubprocessError, MemoryError) as error:
            self._bury(child, f"could not be started: {error}")
        else:
            child.mark = owner_mark(child.process.pid)

    def _wait(self, until: float) -> int | None:
        """The next signal, or ``None`` when that time or the next look has come."""
        seconds = min(until, self._guard.due_at) - self._clock()
        received = signal.sigtimedwait(_SIGNALS, max(0.0, seconds))
        return received.si_signo if received is not None else None

    def _reap(self, children: list[Child]) -> list[tuple[Child, int, int]]:
        """The processes that died, with their ids and exit codes.

        As process 1 of a container also other people's orphans are reaped.
        """
        dead: list[tuple[Child, int, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return dead
            if pid == 0:
                return dead
            for child in children:
                if child.process is not None and child.process.pid == pid:
                    code = os.waitstatus_to_exitcode(status)
                    child.process.returncode = code
                    child.process = None
                    end_marked(child.mark)  # its models may have started processes
                    dead.append((child, pid, code))

    def _stop(self, children: list[Child], deadline: float) -> None:
        """Ask processes to end; kill those that are late, or all at a second signal."""
        for child in children:
            self._signal(child, signal.SIGTERM)
        while any(child.process is not None for child in children):
            received = self._wait(deadline)
            self._reap([*self._others, *self._workers])
            self._look_after(children)  # who stands still cannot drain
            if self._clock() >= deadline or received in {signal.SIGTERM, signal.SIGINT}:
                break
        late = [child for child in children if child.process is not None]
        for child in late:
            self._tell(f"{child.name} did not end in time; killing it")
            self._signal(child, signal.SIGKILL)
        until = self._clock() + _KILLED_SECONDS
        while any(child.process is not None for child in late) and self._clock() < until:
            self._wait(until)
            self._reap([*self._others, *self._workers])

    def _signal(self, child: Child, number: signal.Signals) -> None:
        # Not reaped yet, so the id cannot belong to anybody else.
        if child.process is not None:
            os.kill(child.process.pid, number)
