"""Reads the signs of life of all processes, finds those that stand still, and records deaths.

Decisions are those of `penstock.server.processes.watchdog`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from penstock.server.processes.deaths import MAX_DEATHS, write_deaths
from penstock.server.processes.process_watch import (
    main_thread_waited_seconds,
    oom_kills,
    process_letter,
)
from penstock.server.processes.pulse import read_pulse
from penstock.server.processes.watchdog import (
    CHECK_SECONDS,
    Death,
    ProcessState,
    Watched,
    check,
    suspects_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.processes.run_directory import RunDirectory
    from penstock.server.processes.watchdog import Fault

_CRASHED: Final = re.compile(r"Current thread 0x([0-9a-f]+)")
_MAX_CRASH_BYTES: Final = 1 << 16


class Guard:
    """Looks after the processes of a server.

    Args:
        directory: The run directory, where the processes meet.
        clock: Monotonic seconds.
        wall_clock: Unix seconds.
    """

    def __init__(
        self,
        directory: RunDirectory,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._wall_clock = wall_clock
        self._watched: dict[int, Watched] = {}
        self._faults: dict[int, Fault] = {}
        self._deaths: list[Death] = []
        self._starved = oom_kills()
        self.due_at = clock() + CHECK_SECONDS

    def check_process(self, name: str, pid: int) -> Fault | None:
        """Look at a process; returns why it has to be killed, once.

        Args:
            name: Name of it.
            pid: Its process id.
        """
        now = self._clock()
        watched = self._watched.setdefault(pid, Watched(now))
        reading = read_pulse(self._directory.pulse(name))
        if reading is not None and reading.pid != pid:
            reading = None  # of its last life
        worker = name.startswith("worker")
        fault = check(watched, reading, _process_state(pid), now, worker=worker)
        if fault is None or pid in self._faults:
            return None
        self._faults[pid] = fault
        return fault

    def bury(self, name: str, pid: int, code: int, how: str) -> str:
        """Take note of a death; returns how it came about, with the versions that are suspect.

        Args:
            name: Name of the process.
            pid: Its process id.
            code: Exit code, as `subprocess` has it.
            how: The exit code in words.
        """
        self._watched.pop(pid, None)
        fault = self._faults.pop(pid, None)
        reading = read_pulse(self._directory.pulse(name))
        if reading is not None and reading.pid != pid:
            reading = None
        starved, self._starved = self._starved, oom_kills()
        suspects = suspects_of(
            code, reading, fault, self._crashed_thread(name), starved=self._starved > starved
        )
        with suppress(OSError):
            self._directory.crash(name).unlink(missing_ok=True)
        if fault is not None:
            how = f"{fault.reason}, and was killed"
        elif suspects:
            told = ", ".join(f"version {one.version} of model {one.model!r}" for one in suspects)
            how = f"{how} while it was at {told}"
        if suspects:
            keys = tuple((one.model, one.version) for one in suspects)
            self._deaths.append(Death(name, how, self._wall_clock(), keys))
            del self._deaths[:-MAX_DEATHS]
            with suppress(OSError):  # a full disk must not take the server down
                write_deaths(self._directory.deaths, self._deaths)
        return how

    def _crashed_thread(self, name: str) -> int | None:
        """The identity of the thread in which native code crashed, as faulthandler has told."""
        with suppress(OSError), self._directory.crash(name).open("rb") as file:
            found = _CRASHED.search(file.read(_MAX_CRASH_BYTES).decode("latin-1"))
            return None if found is None else int(found[1], 16)
        return None


def _process_state(pid: int) -> ProcessState:
    return ProcessState(process_letter(pid), main_thread_waited_seconds(pid))
