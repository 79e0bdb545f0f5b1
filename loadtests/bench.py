"""Load on one model of a running server, with inputs made from the model's own metadata."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from rich.table import Table

from penstock.runtimes.datatypes import NUMPY_OF

from .cases import Case
from .closed import ClosedLoop
from .connections import Connections
from .encodings import V2
from .open import OpenLoop
from .outcome import OK, Outcome
from .schedule import draw
from .wire import Response, build_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .encodings import Encoding, Tensors

_DISTINCT_INPUTS = 16
_WARMUP_SECONDS = 0.5
_TIMEOUT_SECONDS = 30.0
_SEED = 1


class BenchError(Exception):
    """The server or the model cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class BenchReport:
    """The result of `bench`.

    Attributes:
        model: Name of the model.
        protocol: ``json``, ``msgpack`` or ``binary``.
        connections: Opened to the server.
        rate: Offered per second; ``None`` in a closed loop.
        arrivals: How the offered requests were spaced.
        request_bytes: Size of one request with its head.
        outcome: The measured window.
    """

    model: str
    protocol: str
    connections: int
    rate: float | None
    arrivals: str
    request_bytes: int
    outcome: Outcome

    def figures(self) -> dict[str, float]:
        """The figures, each with its unit in its name."""
        outcome = self.outcome
        shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
        return {
            "answers_per_second": outcome.throughput,
            "offered_per_second": outcome.offered / outcome.seconds,
            **{f"{name}_milliseconds": outcome.quantile(q) * 1e3 for name, q in shares.items()},
            "errors": float(sum(n for s, n in outcome.statuses.items() if s != OK)),
            "broken": float(outcome.broken),
            "unsent": float(outcome.unsent),
            "unanswered": float(outcome.unanswered),
        }

    def table(self) -> Table:
        """For a terminal."""
        kind = "closed loop" if self.rate is None else f"{self.rate:g}/s, {self.arrivals}"
        title = f"{self.model}: {self.protocol}, {self.connections} connections, {kind}"
        table = Table(title=title, title_justify="left", show_header=False)
        for name, value in self.figures().items():
            table.add_row(name.replace("_", " "), f"{value:,.2f}".removesuffix(".00"))
        return table


def bench(
    url: str,
    model: str,
    *,
    connections: int = 16,
    seconds: float = 5.0,
    rate: float | None = None,
    arrivals: str = "poisson",
    protocol: str = "json",
    rows: int = 1,
) -> BenchReport:
    """Load one model of a running server and check every answer's outputs and their sizes.

    Args:
        url: ``http://host:port`` of the prediction port.
        model: Its name there.
        connections: Requests in flight in a closed loop, their upper bound in an open one.
        seconds: Length of the measured window.
        rate: Requests per second of an open loop; ``None`` is a closed loop.
        arrivals: See `penstock.loadtests.schedule.draw`.
        protocol: ``json``, ``msgpack`` or ``binary``.
        rows: Size of the batch axis, and of every other open dimension 1.

    Raises:
        BenchError: The server, the model or the protocol is not there, or it refuses the inputs.
        RunRefused: An answer was wrong, or the generator lagged behind its schedule.
        ValueError: ``arrivals`` is unknown.
    """
    if protocol not in V2:
        raise BenchError(f"unknown protocol {protocol!r}; expected one of {', '.join(V2)}")
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise BenchError(f"expected a URL such as http://127.0.0.1:8000, got {url!r}")
    host, port = parts.hostname, parts.port or 80
    target = f"{parts.path.rstrip('/')}/v2/models/{model}"
    metadata = json.loads(_ask(host, port, "GET", target).body)
    cases = _cases(host, port, f"{target}/infer", metadata, V2[protocol], rows)
    with Connections(host, port, connections) as pool:
        closed = ClosedLoop(pool, cases)
        closed.run(_WARMUP_SECONDS)
        if rate is None:
            outcome = closed.run(seconds)
        else:
            outcome = OpenLoop(pool, cases).run(draw(arrivals, rate, seconds, _SEED))
    size = len(cases[0].request)
    return BenchReport(model, protocol, connections, rate, arrivals, size, outcome)


def synthetic_inputs(
    tensors: Sequence[Mapping[str, Any]], rows: int, rng: np.random.Generator
) -> Tensors:
    """Random values for the inputs of a model's metadata.

    Raises:
        BenchError: An input holds BYTES, for which no value is plausible.
    """
    inputs: Tensors = {}
    for tensor in tensors:
        dtype = NUMPY_OF.get(tensor["datatype"])
        if dtype is None or dtype.kind == "O":
            raise BenchError(
                f"input {tensor['name']!r} holds {tensor['datatype']}; only numbers can be made up"
            )
        shape = [size if size > 0 else 1 for size in tensor["shape"]]
        if tensor["shape"] and tensor["shape"][0] < 0:
            shape[0] = rows
        values = rng.random(shape) if dtype.kind == "f" else rng.integers(0, 2, shape)
        inputs[tensor["name"]] = values.astype(dtype)
    return inputs


def _cases(
    host: str, port: int, path: str, metadata: Mapping[str, Any], encoding: Encoding, rows: int
) -> list[Case]:
    """Each request is asked once; its answer says what outputs to expect."""
    rng = np.random.default_rng(_SEED)
    cases = []
    for _ in range(_DISTINCT_INPUTS):
        encoded = encoding.encode(synthetic_inputs(metadata["inputs"], rows, rng))
        headers = dict(encoded.headers)
        expected = encoding.decode(_ask(host, port, "POST", path, encoded.body, headers))
        request = build_request(f"{host}:{port}", path, encoded.body, headers)
        cases.append(Case(request, expected, encoding.decode, same_values=False))
    return cases


def _ask(
    host: str,
    port: int,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """One request on a connection of its own; anything but 200 is a `BenchError`."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"no answer from http://{host}:{port}: {error}") from error
    finally:
        connection.close()
    if answer.status != OK:
        text = content.decode(errors="replace")[:500]
        raise BenchError(f"{method} {path} gave {answer.status}: {text}")
    fields = {name.lower().encode(): value.encode() for name, value in answer.getheaders()}
    return Response(answer.status, fields, content, keep_alive=False)
