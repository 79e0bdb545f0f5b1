"""Output of a process past the log: words of a library on standard error, a print of a plug-in.

Standard output and standard error of a process are turned into a pipe, a thread reads it, and each
line becomes a record of the log. So a terminal or pipe that nobody reads stops no thread that
writes there, and with ``--log-format json`` every line is JSON. As text each line stays what it is;
as JSON only those that are one JSON object already, of a process that this one has started. Nobody
waits for room in the pipe either: its reader needs the interpreter, which native code may hold
while it writes. What finds no room is dropped. What a crash of native code writes in its last
moment may be lost: the supervisor says how it ended.
"""

from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import ReadableBuffer

LOG = logging.getLogger("penstock.stray")
LOG.setLevel(logging.WARNING)  # whatever the level of the log is, it was written

#: Attribute of a record that is written as it came.
RAW: Final = "raw_line"
#: A longer line is cut into several.
_MAX_LINE: Final = 64 * 1024
_STANDARD_OUTPUT: Final = 1
_STANDARD_ERROR: Final = 2
#: What native code may write while it holds the interpreter.
_PIPE_BYTES: Final = 1 << 20
#: Kept before it is written.
_MAX_KEPT: Final = 64 * 1024


class Descriptor:
    """The stream of the log: writes to a descriptor without a lock that an exit could wait for.

    Args:
        number: Number of the descriptor.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._kept = bytearray()

    def write(self, text: str) -> None:
        """Keep it until there is much, or until `flush`.

        Raises:
            OSError: It cannot be written.
        """
        self._kept += text.encode("utf-8", "backslashreplace")
        if len(self._kept) >= _MAX_KEPT:
            self.flush()

    def flush(self) -> None:
        """Write what is kept; blocks while nobody reads.

        Raises:
            OSError: It cannot be written; it is forgotten.
        """
        content, self._kept = memoryview(self._kept), bytearray()
        while content:
            content = content[os.write(self._number, content) :]


class _Standard(io.FileIO):
    """A standard stream: what finds no room in its pipe is dropped, and raises nothing."""

    def write(self, content: ReadableBuffer) -> int:
        written = super().write(content)
        return memoryview(content).nbytes if written is None else written


def take_over(*, json_only: bool) -> Descriptor:
    """Turn both streams of this process into records; gives the stream that the log is to use.

    Args:
        json_only: Whether only lines that are JSON records stay what they are.
    """
    log = Descriptor(os.dup(_STANDARD_ERROR))
    reading, writing = os.pipe()
    with suppress(OSError):  # more than this user may have
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    os.set_blocking(writing, False)
    for descriptor in (_STANDARD_OUTPUT, _STANDARD_ERROR):
        os.dup2(writing, descriptor)
    os.close(writing)
    sys.stdout, sys.stderr = map(_text_stream, (_STANDARD_OUTPUT, _STANDARD_ERROR))
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc]
    arguments = reading, json_only
    threading.Thread(target=_read, args=arguments, name="stray-output", daemon=True).start()
    return log


def _text_stream(descriptor: int) -> io.TextIOWrapper:
    raw = _Standard(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True
    )


def log_all_errors() -> None:
    """Let warnings and exceptions that nobody caught be records, too, each with its traceback."""
    logging.captureWarnings(capture=True)

    def of_program(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        LOG.critical("the process ends by an error: %s", error, exc_info=(kind, error, trace))

    def of_thread(found: threading.ExceptHookArgs) -> None:
        error = found.exc_value or found.exc_type()
        name = "a thread" if found.thread is None else f"thread {found.thread.name}"
        LOG.error("%s ends by an error: %s", name, error, exc_info=error)

    def unraisable(found: Any) -> None:
        LOG.error("%s: %r", found.err_msg or "ignored", found.object, exc_info=found.exc_value)

    sys.excepthook = of_program
    threading.excepthook = of_thread
    sys.unraisablehook = unraisable


def _read(descriptor: int, json_only: bool) -> None:  # noqa: FBT001  for a thread
    with os.fdopen(descriptor, "rb") as stream:
        while line := stream.readline(_MAX_LINE):
            text = line.decode("utf-8", "backslashreplace").rstrip()
            if text:
                LOG.warning(
                    "%s", text, extra={RAW: text} if _stays(text, json_only=json_only) else None
                )


def _stays(text: str, *, json_only: bool) -> bool:
    """Whether a line is text, or of the JSON log of a process that this one has started."""
    if not json_only:
        return True
    if not text.startswith('{"time": '):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
