"""Callers on connections that stay open, and every request that one of them got no answer to."""

from __future__ import annotations

import http.client
import json
import re
from collections import Counter
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

#: What a process that dies does to a request that it has.
BROKEN: Final = "connection broken"

_TIMEOUT_SECONDS: Final = 20.0
_OK: Final = 200
_VERSION: Final = re.compile(rb'"model_version":"(\d+)"')


class Callers:
    """Predict as fast as answers come until the end of the block.

    Args:
        url: URL of the prediction port.
        model: Name of the model.
        count: How many callers, each with a connection of its own.

    Attributes:
        answers: By version, how many were answered.
        failures: By cause, how many were not.
    """

    def __init__(self, url: str, model: str, count: int) -> None:
        self._address = urlsplit(url)
        self._path = f"/v2/models/{model}/infer"
        self._body = example_body(self._json(f"/v2/models/{model}"))
        self._over = Event()
        self._lock = Lock()
        self._threads = [Thread(target=self._call_on) for _ in range(count)]
        self.answers: Counter[int] = Counter()
        self.failures: Counter[str] = Counter()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def wait(self, done: Callable[[], bool], timeout_seconds: float = _TIMEOUT_SECONDS) -> bool:
        """Wait until it holds, for so long at most; returns whether it does."""
        for _ in range(int(timeout_seconds / 0.01)):
            if done():
                return True
            self._over.wait(0.01)
        return False

    def _call_on(self) -> None:
        connection = self._connection()
        while not self._over.is_set():
            cause, version = self._call(connection)
            with self._lock:
                if cause:
                    self.failures[cause] += 1
                else:
                    self.answers[version] += 1
            if cause:
                connection.close()
                connection = self._connection()
        connection.close()

    def _call(self, connection: http.client.HTTPConnection) -> tuple[str, int]:
        """Why there was no answer, or which version gave it."""
        try:
            if connection.sock is None:
                connection.connect()
        except OSError as error:
            self._over.wait(0.01)  # who is refused should not spin
            return f"not connected: {error.strerror or error}", 0
        try:
            headers = {"content-type": "application/json"}
            connection.request("POST", self._path, self._body, headers)
            response = connection.getresponse()
            body = response.read()
        except TimeoutError:
            return f"no answer within {_TIMEOUT_SECONDS:.0f} s", 0
        except (OSError, http.client.HTTPException):
            return BROKEN, 0
        found = _VERSION.search(body)
        if response.status != _OK or found is None:
            return f"status {response.status}", 0
        return "", int(found[1])

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._address.hostname, self._address.port
        assert host is not None
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)

    def _json(self, path: str) -> Any:
        connection = self._connection()
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


def example_body(metadata: dict[str, Any]) -> bytes:
    """One row of ones for a model, from what it says of itself."""
    inputs = []
    for one in metadata["inputs"]:
        shape = [max(1, size) for size in one["shape"]]
        count = 1
        for size in shape:
            count *= size
        inputs.append({**one, "shape": shape, "data": [1] * count})
    return json.dumps({"inputs": inputs}).encode()
