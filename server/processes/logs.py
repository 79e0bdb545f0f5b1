"""The log: one line per event on standard error, as text or as JSON.

    2026-11-20T11:17:26.120Z INFO worker-0 loaded breast-cancer version 3
    {"time": "2026-11-20T11:17:26.120Z", "level": "info", "process": "worker-0", "message": "…"}

Whatever is passed as ``extra`` becomes a field of its own in JSON, and so do the parts of a line of
the access log. Records are written by a thread
of their own: a blocked terminal or pipe delays no request, and when 8192 records wait, the newest
are dropped and counted.
"""

from __future__ import annotations

import json
import logging
import time
import traceback
from abc import ABC, abstractmethod
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Protocol

from .stray_output import RAW, log_all_errors, take_over

if TYPE_CHECKING:
    from penstock.server.config.config import ServerConfig

_MAX_WAITING: Final = 8192
_ACCESS_FIELDS: Final = ("client", "method", "target", "http_version", "status")
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "color_message",
    "taskName",
}


class LogStream(Protocol):
    """A stream for lines of the log; an `OSError` means that they are lost."""

    def write(self, text: str, /) -> object:
        """Take a line, with its end."""
        ...

    def flush(self) -> object:
        """Write what was taken."""
        ...


class _Formatter(logging.Formatter, ABC):
    """Gives a line that was made before as it is."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record."""
        raw: str | None = getattr(record, RAW, None)
        return self._text(record) if raw is None else raw

    @abstractmethod
    def _text(self, record: logging.LogRecord) -> str:
        """The text of a record that has none yet."""


class TextFormatter(_Formatter):
    """For people: one line, and the traceback if there is one."""

    def _text(self, record: logging.LogRecord) -> str:
        # A client chooses parts of a message; it must not be able to forge a line.
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        line = f"{_timestamp(record.created)} {record.levelname} {self._process} {message}"
        if record.exc_info:
            line += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return line


class JsonFormatter(_Formatter):
    """For machines: one JSON object per line, whatever the message holds."""

    def _text(self, record: logging.LogRecord) -> str:
        content: dict[str, Any] = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        content |= _access_fields(record)
        content |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            content["exception"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(content, default=str)


class QueuedHandler(logging.Handler):
    """Hands records to a thread that writes them; never blocks the caller.

    Attributes:
        dropped: Records that found no room.
    """

    def __init__(self, stream: LogStream, formatter: logging.Formatter) -> None:
        super().__init__()
        self.dropped = 0
        self._told = 0
        self._stream = stream
        self._waiting: SimpleQueue[logging.LogRecord | None] = SimpleQueue()
        self.setFormatter(formatter)
        self._thread = Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record, or count it."""
        if self._waiting.qsize() >= _MAX_WAITING:
            self.dropped += 1
        else:
            self._waiting.put(record)

    def close(self) -> None:
        """Write what waits, for half a second at most: a stop waits for it."""
        self._waiting.put(None)
        self._thread.join(timeout=0.5)
        super().close()

    def _write(self) -> None:
        while (record := self._waiting.get()) is not None:
            self._put(record)
            if self._waiting.empty():
                self._flush()
        self._flush()

    def _put(self, record: logging.LogRecord) -> None:
        try:
            self._stream.write(self.format(record) + "\n")
        except (OSError, ValueError):
            self.dropped += 1  # nobody reads the log any more; that is no reason to stop
        except Exception:  # noqa: BLE001  a record that cannot be formatted
            self.handleError(record)

    def _flush(self) -> None:
        if self._told < self.dropped:
            untold = self.dropped - self._told
            self._told = self.dropped
            self._put(_drops(untold))
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self.dropped += 1  # as above, several at once at times


def configure_logs(config: ServerConfig, process: str, stream: LogStream | None = None) -> None:
    """Send all logging of this process to standard error, as `config` says.

    With everything else that the process writes there or on standard output, unless a stream is
    given.
    """
    if stream is None:
        stream = take_over(json_only=config.log_format == "json")
        log_all_errors()
    formatter = (JsonFormatter if config.log_format == "json" else TextFormatter)(process)
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.addHandler(QueuedHandler(stream, formatter))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    set_levels(config)


def set_levels(config: ServerConfig) -> None:
    """Log what `config` says from now on: the least severe level, and whether each request."""
    logging.getLogger().setLevel(config.log_level.upper())
    quiet = logging.NOTSET if config.log_level == "debug" else logging.WARNING
    logging.getLogger("uvicorn.error").setLevel(quiet)
    logging.getLogger("uvicorn.access").propagate = config.access_log


def json_line(process: str, level: int, message: str, created: float, **fields: Any) -> str:
    """One line of the log as JSON, for a process that has no logging: the supervisor."""
    record = logging.LogRecord("penstock", level, "", 0, message, None, None)
    record.created = created
    vars(record).update(fields)
    return JsonFormatter(process).format(record)


def _access_fields(record: logging.LogRecord) -> dict[str, Any]:
    """The parts of a line of uvicorn's access log, for both front ends; empty for other records."""
    arguments = record.args
    if record.name != "uvicorn.access" or not isinstance(arguments, tuple):
        return {}
    return dict(zip(_ACCESS_FIELDS, arguments, strict=False))


def _drops(count: int) -> logging.LogRecord:
    text = "%d log records were dropped: the log is written faster than it is read"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (count,), None)


def _timestamp(created: float) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created))
    return f"{seconds}.{int(created % 1 * 1000):03d}Z"
