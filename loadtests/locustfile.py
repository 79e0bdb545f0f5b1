"""Locust users that predict over JSON and msgpack and check every answer.

    locust -f loadtests/locustfile.py --host http://127.0.0.1:8000

The environment variable ``MODEL`` names the model, ``breast-cancer`` by default. ``make locust``
starts a server and runs this without the web page.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from locust import FastHttpUser, constant_throughput, task

from .bench import synthetic_inputs
from .encodings import V2
from .outcome import OK
from .wire import Response

if TYPE_CHECKING:
    from .encodings import Encoded

_MODEL = os.environ.get("MODEL", "breast-cancer")
_DISTINCT_INPUTS = 16


class Predictor(FastHttpUser):
    """One client on one connection, at a pace that leaves locust itself time.

    Locust needs about half a millisecond of its core for each request; beyond that the latencies
    it reports are its own. `penstock.loadtests.open` measures latency.
    """

    abstract = True
    protocol: ClassVar[str]
    wait_time = constant_throughput(20)

    def on_start(self) -> None:
        """Make requests from the model's metadata."""
        answer = self.client.get(f"/v2/models/{_MODEL}", name="metadata")
        if answer.status_code != OK:
            raise RuntimeError(f"model {_MODEL!r}: {answer.status_code} {answer.text}")
        self._metadata = answer.json()
        self._rng = np.random.default_rng()
        self._requests = [self._request() for _ in range(_DISTINCT_INPUTS)]

    def _request(self) -> Encoded:
        inputs = synthetic_inputs(self._metadata["inputs"], 1, self._rng)
        return V2[self.protocol].encode(inputs)

    @task
    def predict(self) -> None:
        """Ask; an answer without all outputs is a failure."""
        request = self._requests[self._rng.integers(_DISTINCT_INPUTS)]
        with self.client.post(
            f"/v2/models/{_MODEL}/infer",
            data=request.body,  # type: ignore[arg-type]  # bytes work; the hint forgets them
            headers=dict(request.headers),
            name=f"infer {self.protocol}",
            catch_response=True,
        ) as answer:
            if answer.status_code != OK:
                answer.failure(f"status {answer.status_code}: {answer.text}")
                return
            headers = dict(answer.headers or {})
            fields = {name.lower().encode(): str(text).encode() for name, text in headers.items()}
            response = Response(answer.status_code, fields, answer.content, keep_alive=True)
            given = V2[self.protocol].decode(response)
            if missing := {one["name"] for one in self._metadata["outputs"]} - given.keys():
                answer.failure(f"no output {', '.join(sorted(missing))}")


class JsonUser(Predictor):
    """Open Inference Protocol v2 in JSON."""

    protocol = "json"


class MsgpackUser(Predictor):
    """The same in msgpack with raw tensors."""

    protocol = "msgpack"
