"""Locust users that predict over JSON and msgpack and check every answer.

    locust -f loadtests/locustfile.py --host http://127.0.0.1:8000

It needs locust, numpy and msgpack, not Penstock. The environment variable ``MODEL`` names the
model; without it, the first model that the server lists. ``make locust`` starts a server and runs
this without the web page.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import msgpack
import numpy as np
from locust import FastHttpUser, constant_throughput, task

if TYPE_CHECKING:
    from collections.abc import Callable

#: Different requests of a user; after them it begins again.
_DISTINCT_REQUESTS: Final = 16
_OK: Final = 200
#: numpy's types of the protocol's datatypes; BYTES are texts.
_NUMPY: Final = {
    "BOOL": "?",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    **{f"INT{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"UINT{8 * size}": f"<u{size}" for size in (1, 2, 4, 8)},
}


def random_tensor(spec: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """A tensor of one row for an input, with its values as an array.

    Args:
        spec: The input, as ``GET /v2/models/{model}`` describes it; -1 in the shape becomes 1.
        rng: Draws the values, from 0 to 1.
    """
    shape = [1 if size < 0 else size for size in spec["shape"]]
    values = rng.random(shape)
    datatype = spec["datatype"]
    data = values.astype(str) if datatype == "BYTES" else values.astype(_NUMPY[datatype])
    return {"name": spec["name"], "datatype": datatype, "shape": shape, "data": data}


def encode_json(tensors: list[dict[str, Any]]) -> bytes:
    """A request in JSON."""
    listed = [{**one, "data": one["data"].ravel().tolist()} for one in tensors]
    return json.dumps({"inputs": listed}).encode()


def encode_msgpack(tensors: list[dict[str, Any]]) -> bytes:
    """A request in msgpack, with raw tensors; texts are a list."""
    packed = [
        {**one, "data": data.ravel().tolist() if data.dtype.kind == "U" else data.tobytes()}
        for one in tensors
        for data in (one["data"],)
    ]
    content = msgpack.packb({"inputs": packed})
    assert content is not None  # only a packer with a buffer of its own gives none
    return bytes(content)


class Encoding(NamedTuple):
    """How requests are written, and answers read."""

    content_type: str
    encode: Callable[[list[dict[str, Any]]], bytes]
    decode: Callable[[bytes], Any]


class Predictor(FastHttpUser):
    """One client on one connection, at a pace that leaves locust itself time.

    Locust needs about half a millisecond of its core for each request; beyond that the latencies
    it reports are its own.
    """

    abstract = True
    encoding: ClassVar[Encoding]
    wait_time = constant_throughput(20)

    def on_start(self) -> None:
        """Make requests from the model's metadata."""
        model = os.environ.get("MODEL") or self._ask("/v2/models")[0]["name"]
        described = self._ask(f"/v2/models/{model}")
        rng = np.random.default_rng()
        self._path = f"/v2/models/{model}/infer"
        self._outputs = {one["name"] for one in described["outputs"]}
        self._requests = [
            self.encoding.encode([random_tensor(spec, rng) for spec in described["inputs"]])
            for _ in range(_DISTINCT_REQUESTS)
        ]
        self._sent = 0

    def _ask(self, path: str) -> Any:
        answer = self.client.get(path, name="metadata")
        if answer.status_code != _OK:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text}")
        return answer.json()

    @task
    def predict(self) -> None:
        """Ask; an answer without all outputs is a failure."""
        body = self._requests[self._sent % _DISTINCT_REQUESTS]
        self._sent += 1
        with self.client.post(
            self._path,
            data=body,  # type: ignore[arg-type]  # bytes work; the hint forgets them
            headers={"content-type": self.encoding.content_type},
            name=f"infer {self.encoding.content_type}",
            catch_response=True,
        ) as answer:
            if answer.status_code != _OK:
                answer.failure(f"status {answer.status_code}: {answer.text}")
                return
            given = {one["name"] for one in self.encoding.decode(answer.content or b"")["outputs"]}
            if missing := self._outputs - given:
                answer.failure(f"no output {', '.join(sorted(missing))}")


class JsonUser(Predictor):
    """Open Inference Protocol v2 in JSON."""

    encoding = Encoding("application/json", encode_json, json.loads)


class MsgpackUser(Predictor):
    """The same in msgpack with raw tensors."""

    encoding = Encoding("application/msgpack", encode_msgpack, msgpack.unpackb)
