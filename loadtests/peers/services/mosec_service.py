# ruff: noqa: INP001  a script for the peer's own environment, not part of the package
# mypy: ignore-errors
"""mosec: its Rust front end, one Python worker; orjson in place of its default json module.

``BATCH`` > 1 switches dynamic batching on, with the shortest wait that mosec knows.
"""

import os

import msgpack
import numpy as np
import orjson
from mosec import Server, Worker
from onnx_model import OnnxModel, split

BATCH = int(os.environ.get("BATCH", "1"))


class Json(Worker):
    """Rows as JSON."""

    def __init__(self) -> None:
        self.model = OnnxModel()

    def deserialize(self, data: bytes) -> np.ndarray:
        """The request's rows."""
        return np.asarray(orjson.loads(data)["features"], np.float32)

    def serialize(self, data: list[np.ndarray]) -> bytes:
        """One list per output."""
        named = zip(self.model.outputs, data, strict=True)
        return orjson.dumps(dict(named), option=orjson.OPT_SERIALIZE_NUMPY)

    def forward(self, data: np.ndarray | list[np.ndarray]) -> list:
        """One request, or a batch of them."""
        if BATCH == 1:
            return self.model.run(data)
        return split([len(rows) for rows in data], self.model.run(np.concatenate(data)))


class Msgpack(Json):
    """The same rows as raw bytes in msgpack."""

    def deserialize(self, data: bytes) -> np.ndarray:
        """The request's rows, without a copy."""
        shape, rows = msgpack.unpackb(data)["features"]
        return np.frombuffer(rows, np.float32).reshape(shape)

    def serialize(self, data: list[np.ndarray]) -> bytes:
        """Type and bytes of each output."""
        named = zip(self.model.outputs, data, strict=True)
        return msgpack.packb({name: (one.dtype.str, one.tobytes()) for name, one in named})


if __name__ == "__main__":
    server = Server()
    batching = {"max_batch_size": BATCH, "max_wait_time": 1} if BATCH > 1 else {}
    server.append_worker(Json, num=1, route="/inference", **batching)
    server.append_worker(Msgpack, num=1, route="/msgpack", **batching)
    server.run()
