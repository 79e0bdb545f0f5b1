"""Callers count every request that got no answer, under its cause."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from penstock.loadtests.callers import BROKEN, Callers, example_body

METADATA = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]}


def answer(body, status="200 OK"):
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


class Moody:
    """Answers one request after the other as `moods` say, then the last of them for ever."""

    def __init__(self, *moods):
        self.moods = [answer(json.dumps(METADATA).encode()), *moods]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://{}:{}".format(*self.listener.getsockname())
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while self.moods:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as received:
                while self.one(connection, received):
                    pass

    def one(self, connection, received):
        length = 0
        line = received.readline()
        if not line:
            return False
        while (line := received.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        received.read(length)
        mood = self.moods.pop(0)
        if mood is None:
            return False
        if mood == "leave":
            self.listener.close()
            return False
        connection.sendall(mood)
        return True


def test_each_failure_is_counted_under_its_cause():
    good = answer(b'{"model_version":"2","outputs":[]}')
    server = Moody(good, good, None, good, answer(b"{}", "503 Busy"), good, "leave")
    with Callers(server.url, "m", 1) as callers:
        assert callers.wait(lambda: callers.failures.total() >= 5)
    server.thread.join()
    assert callers.answers == {2: 4}
    refused = callers.failures.pop("not connected: Connection refused")
    assert refused >= 2
    assert callers.failures == {BROKEN: 2, "status 503": 1}


@pytest.mark.parametrize("shape", [[-1, 3], [3], []])
def test_the_example_has_as_many_numbers_as_its_shape_says(shape):
    (tensor,) = json.loads(
        example_body({"inputs": [{"name": "x", "datatype": "FP32", "shape": shape}]})
    )["inputs"]
    assert tensor["shape"] == [max(1, size) for size in shape]
    assert len(tensor["data"]) == (3 if shape else 1)
