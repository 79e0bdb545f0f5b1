"""Records which functions of the project a process enters: in order, by thread.

A trace lies in a directory. One byte of a shared file says whether anything is recorded; each
process appends what it sees to a file of its own. So one trace may span all processes of a server.
"""

from __future__ import annotations

import inspect
import mmap
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import CodeType, FrameType

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = ("batching", "monitoring", "runtimes", "server")
#: Calls a function that it is given, and is not seen in between.
TRANSPARENT: Final = ("batching/contained.py",)
#: One byte of a file in the directory of a trace: whether calls are written down.
SWITCH: Final = "switch"
SUFFIX: Final = ".calls"
#: Stands for the caller of what a log record calls.
LOGGING: Final = "logging"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the project.

    Attributes:
        file: Path below the root of the project.
        line: Where it begins.
        name: Qualified.
    """

    file: str
    line: int
    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A run enters a function.

    Attributes:
        at: Time by the monotonic clock of the machine, in nanoseconds.
        process: Name of the process.
        thread: Number of the thread in it.
        function: The function.
        caller: The innermost function of the project that was running on the thread; ``None`` if
            an event loop or a thread called it.
    """

    at: int
    process: str
    thread: int
    function: Function
    caller: Function | None


class Tracer:
    """Writes down each call in a process, while the switch of the trace is on.

    `install` reaches the calling thread and those that start later.

    Args:
        directory: Of the trace.
        process: Name of this process.
        root: Of the project.
    """

    def __init__(self, directory: Path, process: str, root: Path = ROOT) -> None:
        self._root = root
        self._process = process
        switch = os.open(directory / SWITCH, os.O_RDONLY)
        self._switch = mmap.mmap(switch, 1, access=mmap.ACCESS_READ)
        os.close(switch)
        name = f"{process}-{os.getpid()}{SUFFIX}"
        self._out = os.open(directory / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._known: dict[CodeType, str] = {}

    def install(self) -> None:
        threading.setprofile(self._see)
        sys.setprofile(self._see)

    def remove(self) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _see(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not self._switch[0]:
            return
        function = self._function(frame.f_code)
        if function:
            line = (
                f"{time.monotonic_ns()}\t{self._process}\t{threading.get_ident()}\t"
                f"{function}\t{self._caller(frame)}\n"
            )
            os.write(self._out, line.encode())

    def _caller(self, frame: FrameType) -> str:
        back = frame.f_back
        while back is not None:
            if back.f_globals.get("__name__", "").startswith("logging"):
                return LOGGING  # what writes the log is no part of what is logged
            caller = self._function(back.f_code)
            if caller:
                return caller
            back = back.f_back
        return ""

    def _function(self, code: CodeType) -> str:
        """File, line and name, if it is a function of the project; else nothing.

        The body of a module or a class is none, nor is a comprehension, which belongs to its
        function.
        """
        known = self._known.get(code)
        if known is None:
            known = self._known[code] = self._read(code)
        return known

    def _read(self, code: CodeType) -> str:
        if code.co_name.startswith("<") or not code.co_flags & inspect.CO_OPTIMIZED:
            return ""
        try:
            inside = Path(code.co_filename).resolve().relative_to(self._root)
        except ValueError:
            return ""
        if inside.parts[0] not in ROOMS or inside.as_posix() in TRANSPARENT:
            return ""
        return f"{inside.as_posix()}|{code.co_firstlineno}|{code.co_qualname}"


class Trace:
    """One trace over all processes of a server.

    Args:
        directory: Of the trace; made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        (directory / SWITCH).write_bytes(b"\0")
        self.directory = directory

    def switch(self, *, on: bool) -> None:
        """Begin or end writing down."""
        with (self.directory / SWITCH).open("r+b") as file:
            file.write(bytes([on]))

    def take(self) -> list[Entry]:
        """What was written down so far, in the order of time; it is forgotten then."""
        entries = []
        for path in self.directory.glob(f"*{SUFFIX}"):
            entries += [_entry(line) for line in path.read_text().splitlines()]
            os.truncate(path, 0)
        return sorted(
            (one for one in entries if one.caller is None or one.caller.file != LOGGING),
            key=lambda entry: entry.at,
        )


def _entry(line: str) -> Entry:
    at, process, thread, function, caller = line.split("\t")
    return Entry(int(at), process, int(thread), _function(function), _caller(caller))


def _function(text: str) -> Function:
    file, line, name = text.split("|")
    return Function(file, int(line), name)


def _caller(text: str) -> Function | None:
    if text == LOGGING:
        return Function(LOGGING, 0, "")
    return _function(text) if text else None
