"""The prediction port as a batch job asks it: with raw tensors, at background urgency."""

from __future__ import annotations

import http.client
import math
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import orjson

from penstock.server.codecs.raw import from_raw, to_raw
from penstock.server.codecs.signature import WireInput
from penstock.server.errors.error_message import error_message

from .job_failed import JobFailed, NotNow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.runtimes.contract import Array
    from penstock.server.codecs.signature import WireSignature

#: Of one answer; a request waits while others want the model.
TIMEOUT_SECONDS: Final = 600.0
#: A server that answers nothing but "later", or not at all, is given up after so long.
GIVEN_UP_SECONDS: Final = 300.0
_LONGEST_PAUSE_SECONDS: Final = 5.0
#: Not now; the same request may be answered later.
_LATER: Final = frozenset((408, 429, 502, 503))
#: What a request holds is at fault, or what the model makes of it.
_FAULTS: Final = frozenset((400, 413, 422, 500, 504))
_OK: Final = 200
_BACKGROUND: Final = {"priority": "u=7", "content-type": "application/octet-stream"}


class RowsRefused(Exception):
    """The server does not answer some rows; its message says why."""


class PredictionPort:
    """Asks one server. Each thread that calls it has a connection of its own.

    Args:
        url: URL of the port.
        token: To send; empty sends none.
        given_up: Set when the job is given up.
        clock: Monotonic seconds.
        context: What to ask of the server's certificate; by default that it is trusted here.
    """

    def __init__(
        self,
        url: str,
        token: str,
        given_up: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
        context: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise JobFailed(
                f"{url!r} is no URL of a server; expected such as http://127.0.0.1:8000"
            )
        self._url = url.rstrip("/")
        self._parts = parts
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._given_up = given_up or threading.Event()
        self._clock = clock
        self._context = context
        self._local = threading.local()
        self._open: set[http.client.HTTPConnection] = set()

    def close(self) -> None:
        """Give all requests up, also those that wait for their answers in other threads."""
        self._given_up.set()
        for connection in list(self._open):
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()

    def describe(self, model: str, version: str | None) -> dict[str, Any]:
        """The description of a version; of the stable one without a version.

        Raises:
            JobFailed: There is none, or the server cannot be asked.
        """
        which = "" if version is None else f"/versions/{quote(version, safe='')}"
        path = f"/v2/models/{quote(model, safe='')}{which}"
        status, _, body = self._until_answered("GET", path, [], {})
        if status != _OK:
            raise NotNow(f"{self._url}: {error_message(body) or f'status {status}'}")
        found: dict[str, Any] = orjson.loads(body)
        return found

    def predict(self, wire: WireSignature, arrays: Sequence[Array | None]) -> list[Array]:
        """One array for each output of the model.

        Args:
            wire: The model's signature.
            arrays: One for each input.

        Raises:
            RowsRefused: These rows are not answered; fewer of them may be.
            JobFailed: No rows are.
        """
        head, pieces = _body(wire, arrays)
        headers = {**_BACKGROUND, "inference-header-content-length": str(len(head))}
        path = f"/v2/models/{quote(wire.model_name, safe='')}/versions/{wire.model_version}/infer"
        status, length, body = self._until_answered("POST", path, [head, *pieces], headers)
        if status == _OK:
            return _outputs(wire, body, length)
        reason = error_message(body) or f"the server answers {status}"
        if status in _FAULTS:
            raise RowsRefused(reason)
        raise NotNow(f"{self._url}: {reason}")

    def _until_answered(
        self, method: str, path: str, pieces: Sequence[bytes | memoryview], headers: dict[str, str]
    ) -> tuple[int, int, bytes]:
        """Status, length of the JSON and body of the first answer that is not "later"."""
        until = self._clock() + GIVEN_UP_SECONDS
        seconds = 0.1
        while True:
            try:
                status, after, length, body = self._once(method, path, pieces, headers)
                if status not in _LATER:
                    return status, length, body
                reason = error_message(body) or f"status {status}"
                seconds = max(seconds, min(after, _LONGEST_PAUSE_SECONDS))
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
                if method == "GET":  # the first question of a job
                    raise NotNow(f"{self._url} cannot be asked: {reason}") from None
            if self._clock() >= until:
                raise NotNow(f"{self._url} cannot be asked for predictions: {reason}")
            if self._given_up.wait(seconds):
                raise JobFailed("the job was given up")
            seconds = min(2 * seconds, _LONGEST_PAUSE_SECONDS)

    def _once(
        self, method: str, path: str, pieces: Sequence[bytes | memoryview], headers: dict[str, str]
    ) -> tuple[int, float, int, bytes]:
        connection = getattr(self._local, "connection", None) or self._connection()
        self._local.connection = None  # one that breaks is not used again
        size = sum(map(len, pieces))
        given = {"content-length": str(size), **self._headers, **headers}
        self._open.add(connection)
        try:
            connection.request(method, path, iter(pieces), given)
            answer = connection.getresponse()
            body = answer.read()
        except BaseException:
            self._open.discard(connection)
            connection.close()
            raise
        self._local.connection = connection
        after = _number(answer.getheader("retry-after"))
        length = _number(answer.getheader("inference-header-content-length"))
        return answer.status, after, int(length), body

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname, self._parts.port
        assert host is not None
        if self._parts.scheme == "https":
            context = self._context or ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)


def _number(text: str | None) -> float:
    try:
        found = float(text or 0)
    except ValueError:
        return 0.0
    return found if math.isfinite(found) else 0.0


def _body(
    wire: WireSignature, arrays: Sequence[Array | None]
) -> tuple[bytes, list[bytes | memoryview]]:
    """The JSON of a request and the tensors behind it."""
    entries, pieces = [], []
    for spec, array in zip(wire.inputs.values(), arrays, strict=True):
        if array is None:
            continue
        raw = to_raw(array)
        entries.append(
            {
                "name": spec.name,
                "datatype": spec.datatype,
                "shape": array.shape,
                "parameters": {"binary_data_size": len(raw)},
            }
        )
        pieces.append(raw)
    asked = {"inputs": entries, "parameters": {"binary_data_output": True}}
    return orjson.dumps(asked), pieces


def _outputs(wire: WireSignature, body: bytes, length: int) -> list[Array]:
    """The tensors of an answer.

    Raises:
        JobFailed: It is none of Penstock's.
    """
    position, found, specs = length, {}, _specs(wire)
    try:
        for entry in orjson.loads(body[:length])["outputs"]:
            name, shape = entry["name"], entry["shape"]
            end = position + entry["parameters"]["binary_data_size"]
            found[name] = from_raw(body[position:end], specs[name], shape, math.prod(shape))
            position = end
        return [found[name] for name in wire.all_outputs]
    except (ValueError, KeyError, TypeError) as error:
        raise JobFailed(f"the answer of the server cannot be read: {error!r}") from None


def _specs(wire: WireSignature) -> dict[str, WireInput]:
    return {
        spec.name: WireInput(at, spec, batch_axis=wire.batch_axis)
        for at, spec in enumerate(wire.signature.outputs)
    }
