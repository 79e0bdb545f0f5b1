"""Runs one program of a retraining, apart from the server: ``python -m`` DIRECTORY SECONDS COMMAND.

It takes the lock of the run, hands it to a process of its own, and ends; so who started it knows
that the program is started. The other process keeps the output, ends the program after the time,
and writes the result. It holds the lock for as long as it lives: who finds the lock free and no
result knows that it was killed.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import orjson

from penstock.monitoring.files.atomic_file import replace_file

from .command import LOCK, ORDER, OUTPUT, RESULT

_MAX_OUTPUT_BYTES: Final = 10 << 20
_TAIL_BYTES: Final = 500
_GRACE_SECONDS: Final = 10.0


def main(arguments: list[str]) -> int:
    """Start the program; returns the exit status."""
    directory, time_limit, command = Path(arguments[0]), float(arguments[1]), arguments[2:]
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0  # it was started before
    if (directory / RESULT).exists() or os.fork():  # the lock is of both processes
        return 0
    _detach()
    _watch(directory, time_limit, command)
    os._exit(0)


def _detach() -> None:
    """Let go of what belongs to the process that waits."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the server blocks some while it starts
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)


def _watch(directory: Path, time_limit: float, command: list[str]) -> None:
    """Run the program to its end, and write the result."""
    succeeded, detail = False, ""
    try:
        with (directory / ORDER).open("rb") as order, (directory / OUTPUT).open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  the operator's command
                command,
                stdin=order,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            assert process.stdout is not None
            copying = threading.Thread(target=_copy, args=(process.stdout, output), daemon=True)
            copying.start()
            try:
                code = process.wait(time_limit)
                detail = f"exit status {code}"
            except subprocess.TimeoutExpired:
                code, detail = -1, f"it was ended after {time_limit:g} s"
            _end(process)
            copying.join(_GRACE_SECONDS)
            succeeded = code == 0
        if not succeeded:
            detail += _tail(directory / OUTPUT)
    except OSError as error:
        detail = f"{command[0]}: {error.strerror or error}"
    result = {"succeeded": succeeded, "detail": detail}
    replace_file(directory / RESULT, orjson.dumps(result), 0o600)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program, and all that it has left behind in its session."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    """Keep the beginning of the output, and read the rest, so that the program goes on."""
    left = _MAX_OUTPUT_BYTES
    while piece := os.read(source.fileno(), 1 << 16):
        with suppress(OSError, ValueError):
            target.write(piece[:left])
            target.flush()
        left = max(0, left - len(piece))


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        text = " ".join(file.read().decode(errors="replace").split())
    return f": {text}" if text else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
