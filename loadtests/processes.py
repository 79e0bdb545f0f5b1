"""Servers under test: started on their own cores, accounted with all their children, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_MARKER = "LOADTEST_MARK"
_STOP_SECONDS = 15.0
_IDLE_WINDOW_SECONDS = 0.5
_IDLE_SHARE = 0.05


class ServerFailed(Exception):
    """A server did not start, or did not become ready."""


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def pinned(cores: AbstractSet[int]) -> Iterator[None]:
    """This thread, and the processes it starts meanwhile, on these cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def arguments_of(pid: int) -> list[bytes]:
    """The command line of a process.

    Raises:
        OSError: It is gone.
    """
    return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


class ServerProcess:
    """One server with its whole process tree. Use as a context manager.

    The tree is found by a marker in the environment, so that children which daemonise or change
    their parent still count and are still stopped.

    Args:
        command: Program and arguments.
        log: Where its output goes.
        environment: Added to this process's own.
        cores: What it may run on.
        directory: Its working directory.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        cores: AbstractSet[int] | None = None,
        directory: Path | None = None,
    ) -> None:
        self._command = list(command)
        self._log = log
        self._mark = uuid.uuid4().hex
        self._environment = os.environ | dict(environment or {}) | {_MARKER: self._mark}
        self._cores = cores or os.sched_getaffinity(0)
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with pinned(self._cores), self._log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self._environment,
                cwd=self._directory,
                start_new_session=True,
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def wait_ready(self, is_ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Poll until the server is ready.

        Raises:
            ServerFailed: It ended or took too long; the message has the end of its log.
        """
        assert self._process is not None
        end = time.monotonic() + timeout_seconds
        while not is_ready():
            code = self._process.poll()
            if code is not None:
                raise ServerFailed(
                    f"ended with code {code} before it was ready:\n{self.log_tail()}"
                )
            if time.monotonic() > end:
                raise ServerFailed(f"not ready after {timeout_seconds:.0f} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def wait_idle(self, timeout_seconds: float) -> None:
        """Wait until the tree does next to nothing: start-up goes on behind a ready server."""
        end = time.monotonic() + timeout_seconds
        while time.monotonic() < end:
            before = self.cpu_seconds()
            time.sleep(_IDLE_WINDOW_SECONDS)
            if self.cpu_seconds() - before <= _IDLE_SHARE * _IDLE_WINDOW_SECONDS:
                return

    def log_tail(self, characters: int = 2000) -> str:
        """The end of what the server printed."""
        return self._log.read_text(errors="replace")[-characters:]

    def pids(self) -> list[int]:
        """Every live process of the tree."""
        needle = f"{_MARKER}={self._mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if needle in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def cpu_seconds(self) -> float:
        """User and system time of the tree so far, with children that have ended."""
        ticks = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                stat = Path(f"/proc/{pid}/stat").read_text()
                ticks += sum(int(field) for field in stat.rpartition(")")[2].split()[11:15])
        return ticks / _TICKS_PER_SECOND

    def memory_bytes(self) -> int:
        """Proportional set size of the tree: pages shared by several processes count once."""
        kilobytes = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        kilobytes += int(line.split()[1])
        return kilobytes * 1024

    def stop(self) -> None:
        """Ask the server to stop, then kill what is left of its tree."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
        end = time.monotonic() + _STOP_SECONDS
        while (left := self.pids()) and time.monotonic() < end:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)  # a killed process frees its memory and ports before it is gone
        process.wait()
        self._process = None
