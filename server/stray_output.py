"""What a process writes past the log: a library's words on standard error, a print of a plug-in.

With ``--log-format json`` every line is to be JSON. So standard output and standard error of a
process are turned into a pipe, a thread reads it, and each line becomes a record of the log. Lines
that are one JSON object already, of a process that this one has started, stay what they are. What a
crash of native code writes in its last moment may be lost: the supervisor says how it ended.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import TracebackType

LOG = logging.getLogger("penstock.stray")

#: Attribute of a record that is written as it came.
RAW: Final = "raw_line"
#: A longer line is cut into several.
_MAX_LINE: Final = 64 * 1024
_STANDARD_OUTPUT: Final = 1
_STANDARD_ERROR: Final = 2


def take_over() -> IO[str]:
    """Turn both streams of this process into records; gives the stream that the log is to use."""
    log = os.fdopen(os.dup(_STANDARD_ERROR), "w", encoding="utf-8", errors="backslashreplace")
    reading, writing = os.pipe()
    for descriptor in (_STANDARD_OUTPUT, _STANDARD_ERROR):
        os.dup2(writing, descriptor)
    os.close(writing)
    threading.Thread(target=_read, args=(reading,), name="stray-output", daemon=True).start()
    return log


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


def _read(descriptor: int) -> None:
    with os.fdopen(descriptor, "rb") as stream:
        while line := stream.readline(_MAX_LINE):
            text = line.decode("utf-8", "backslashreplace").rstrip()
            if text:
                LOG.warning("%s", text, extra={RAW: text} if _is_record(text) else None)


def _is_record(text: str) -> bool:
    """Whether a line is one of the log of a process that this one has started."""
    if not text.startswith('{"time": '):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
