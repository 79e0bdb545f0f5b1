"""The log: one record, one line; never in the way."""

from __future__ import annotations

import io
import json
import logging
import threading

import pytest

from penstock.server.config.config import ServerConfig
from penstock.server.processes.logs import QueuedHandler, TextFormatter, configure_logs


@pytest.fixture
def log():
    """Configure logging into a buffer; the second call of the result reads it back."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    root.handlers = []
    stream = io.StringIO()

    def configure(**options):
        configure_logs(ServerConfig(**options), "worker-0", stream)
        return read

    def read():
        for handler in list(root.handlers):
            root.removeHandler(handler)
            handler.close()
        return stream.getvalue().splitlines()

    yield configure
    read()
    root.handlers, root.level = before


def test_text_is_one_line_per_record(log):
    read = log(log_format="text")
    logging.getLogger("penstock").info("loaded %s\nFAKE line", "m")
    logging.getLogger("penstock").debug("too small")
    (line,) = read()
    assert line.endswith(" INFO worker-0 loaded m\\nFAKE line")


def test_json_carries_extra_fields_and_tracebacks(log):
    read = log(log_format="json")
    logging.getLogger("penstock").info("loaded", extra={"model": "m"})
    try:
        1 / 0  # noqa: B018  for its traceback
    except ZeroDivisionError:
        logging.getLogger("penstock").exception("oh")
    first, second = map(json.loads, read())
    assert (first["level"], first["process"], first["model"]) == ("info", "worker-0", "m")
    assert "ZeroDivisionError" in second["exception"]


def test_uvicorn_logs_requests_only_when_asked(log):
    read = log(access_log=False)
    logging.getLogger("uvicorn.access").info("x")
    assert not logging.getLogger("uvicorn.access").hasHandlers()
    assert read() == []


def test_the_parts_of_an_access_line_are_fields_in_json(log):
    read = log(log_format="json", access_log=True)
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "1.2.3.4:5", "POST", "/v2/models/m/infer", "1.1", 200
    )
    (line,) = map(json.loads, read())
    assert line["message"] == '1.2.3.4:5 - "POST /v2/models/m/infer HTTP/1.1" 200'
    assert (line["client"], line["method"], line["status"]) == ("1.2.3.4:5", "POST", 200)
    assert line["target"] == "/v2/models/m/infer"


class StuckStream(io.StringIO):
    def __init__(self):
        super().__init__()
        self.reached = threading.Event()
        self.release = threading.Event()

    def write(self, text):
        self.reached.set()
        self.release.wait(60)
        return super().write(text)


def test_a_log_that_nobody_reads_delays_nobody_and_drops_are_counted():
    stream = StuckStream()
    handler = QueuedHandler(stream, TextFormatter("worker-0"))
    record = logging.makeLogRecord({"msg": "x", "levelname": "INFO"})
    handler.emit(record)
    assert stream.reached.wait(60)
    for _ in range(10_000):
        handler.emit(record)
    assert handler.dropped == 10_000 - 8192
    stream.release.set()
    handler.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1 + 8192 + 1
    assert "1808 log records were dropped" in lines[-1]
