"""A child of this process that may crash, hang or take too much: started, talked to, and ended."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from penstock.monitoring.distribution import python_command
from penstock.server.processes.descendants import end_marked, owner_mark
from penstock.server.processes.exits import describe_exit
from penstock.server.processes.process_watch import (
    is_stopped,
    main_thread_waited_seconds,
    oom_kills,
    resident_bytes,
)
from penstock.server.processes.time_limit import MOST_SECONDS, stuck

from .environment import marked_environment
from .limits import Death, ProcessLimits, is_own_end
from .link import Link, LinkEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .link import Message

#: Between two looks at a child that is waited for.
CHECK_SECONDS: Final = 0.25
#: How long the end of a killed process is waited for.
_END_SECONDS: Final = 1.0
_MODULE: Final = "penstock.server.isolation.child"
_NUMBERS: Final = count()
#: Runs the child by another interpreter, which does not know where Penstock is.
_BOOT: Final = (
    "import sys, types; package = types.ModuleType('penstock'); package.__path__ = [sys.argv[1]]; "
    "sys.modules['penstock'] = package; "
    f"from {_MODULE} import main; main(sys.argv[2:])"
)


class ChildEnded(Exception):
    """The child is gone, or had to go.

    Attributes:
        death: Reason of its end.
    """

    def __init__(self, death: Death) -> None:
        super().__init__(death.detail)
        self.death = death


class ChildProcess:
    """A running child. It ends with the thread that made it, and with this process.

    Args:
        target: Function that it runs, as ``module:function``; it is called with a `Link`.
        limits: Limits of the process.
        python: Another interpreter than that of this process.
        environ: Its environment; by default that of this process.
        output: Descriptor for its standard output and standard error; by default those of this
            process.
        too_large: Whether so many bytes of resident memory are too many.
        waited: Gives the seconds that the process of this id has waited for a processor so far.
        clock: Monotonic seconds.

    Attributes:
        link: The connection.
        waited: See the argument.
        pid: Its process id.
        process: The process, for waiting and for its exit code.
        descriptor: Can be read once the process has ended.

    Raises:
        OSError: No process could be started.
    """

    def __init__(
        self,
        target: str,
        limits: ProcessLimits | None = None,
        *,
        python: Path | None = None,
        environ: Mapping[str, str] | None = None,
        output: int | None = None,
        too_large: Callable[[int], bool] | None = None,
        waited: Callable[[int], float] = main_thread_waited_seconds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = limits or ProcessLimits()
        self._clock = clock
        self._too_large = too_large
        self.waited = waited
        self._checked_at = clock()
        self._death: Death | None = None
        self._oom_kills = oom_kills()
        self._mark = f"{owner_mark(os.getpid())}/{next(_NUMBERS)}"
        ours, theirs = socket.socketpair()
        numbers = (limits.memory_bytes, limits.cpu_seconds, limits.open_files)
        with theirs:
            arguments = [target, *map(str, (theirs.fileno(), os.getpid(), *numbers))]
            try:
                self.process = subprocess.Popen(  # noqa: S603  our own module
                    _command(python, arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(theirs.fileno(),),
                    env=marked_environment(environ, self._mark),
                    # What it starts is ended with it. In a session of its own it would be, too, but
                    # Linux schedules sessions as wholes (autogroup): its priority would count for
                    # nothing, and this process would wait milliseconds for a processor beside it.
                    process_group=0,
                )
            except BaseException:
                ours.close()
                raise
        self.pid = self.process.pid
        self.descriptor = os.pidfd_open(self.pid)
        self.link = Link(ours)
        self.link.wake_every(CHECK_SECONDS)

    @property
    def ended(self) -> bool:
        """Whether it has ended; its exit code is kept until `close`."""
        if self.process.returncode is not None:
            return True
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found is not None

    def send(self, kind: int, content: bytes, limit: float, file: int | None = None) -> None:
        """Send it a message.

        Args:
            kind: Kind of the message.
            content: Content of the message.
            limit: Seconds that reading may take.
            file: Descriptor to send with it.

        Raises:
            ChildEnded: It is gone, or reads nothing.
        """
        try:
            rest = self.link.send(kind, content, file)
            if rest:
                watch = _Watch(self, limit)
                while rest := self.link.send_rest(rest):
                    watch.look()
        except LinkEnded:
            raise ChildEnded(self.death()) from None

    def receive(self, limit: float) -> Message:
        """The next message of the child.

        Args:
            limit: Seconds that it may take; its waiting for a processor does not count.

        Raises:
            ChildEnded: It is gone, hangs, or takes too much memory; it is killed then.
        """
        try:
            message = self.link.receive()
            if message is None:
                watch = _Watch(self, limit)
                while (message := self.link.receive()) is None:
                    watch.look()
        except LinkEnded:
            raise ChildEnded(self.death()) from None
        if self._too_large is not None:
            self.check_memory()
        return message

    def check(self) -> None:
        """Look at a child that has nothing to do.

        Raises:
            ChildEnded: It has ended, or took too much memory and is killed.
        """
        if self.ended:
            raise ChildEnded(self.death())
        self.check_memory()

    def check_memory(self) -> None:
        """Look at its memory, if the last look was a while ago.

        Raises:
            ChildEnded: It took too much, and is killed.
        """
        now = self._clock()
        if self._too_large is None or now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        resident = resident_bytes(self.pid)
        if self._too_large(resident):
            self.condemn(Death("memory", f"grew to {resident >> 20} MiB"))

    def condemn(self, death: Death) -> NoReturn:
        """Kill it.

        Raises:
            ChildEnded: Always, with this death, unless it had ended before.
        """
        if self._death is None and not self.ended:
            self._death = death
        self.kill()
        raise ChildEnded(self.death())

    def death(self) -> Death:
        """Why it is gone; kills it if it is not."""
        if self._death is None:
            self.kill(grace=CHECK_SECONDS)
            code = self.process.wait()
            own = is_own_end(code, starved=oom_kills() > self._oom_kills)
            self._death = Death("crash", describe_exit(code), own)
        return self._death

    def kill(self, *, grace: float = 0.0) -> None:
        """Kill it and what it has started.

        Args:
            grace: Seconds to wait for an end that has begun: its exit code says more then.
        """
        if self.process.returncode is not None:
            return
        if grace:  # a connection ends a moment before its process
            poll = select.poll()
            poll.register(self.descriptor, select.POLLIN)
            poll.poll(grace * 1000)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it, what it has started, and everything about it here.

        At its priority its end may take a while.
        """
        self.kill()
        self.link.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)
        end_marked(self._mark)
        os.close(self.descriptor)


class _Watch:
    """How long a child has been at one call, as far as that counts."""

    def __init__(self, child: ChildProcess, limit: float) -> None:
        self._child = child
        self._limit = limit
        self._spent = CHECK_SECONDS
        self._seen = time.monotonic()
        self._waited = child.waited(child.pid)

    def look(self) -> None:
        """Look at it.

        Raises:
            ChildEnded: It has ended, hangs, or takes too much memory.
        """
        child, now = self._child, time.monotonic()
        self._spent, self._seen = self._spent + min(now - self._seen, MOST_SECONDS), now
        if child.ended:  # though what it has started may hold the connection open
            raise ChildEnded(child.death())
        child.check_memory()
        waited = child.waited(child.pid) - self._waited
        if stuck(self._spent, waited, self._limit):
            stopped = is_stopped(child.pid)
            how = "was stopped by a signal" if stopped else "gave no answer"
            child.condemn(Death("hang", f"{how} for {self._limit:g} s", not stopped))


def _command(python: Path | None, arguments: list[str]) -> list[str]:
    if python is None:
        return python_command("-m", _MODULE, *arguments)
    packages = Path(__file__).parents[2]
    return [str(python), "-I", "-c", _BOOT, str(packages), *arguments]
