# ruff: noqa: INP001  a script for the peer's own environment, not part of the package
# mypy: ignore-errors
"""LitServe: one worker, its ZeroMQ queue in place of multiprocessing's.

``BATCH`` > 1 switches batching on, taking what is queued without waiting.
"""

import os

import litserve
import numpy as np
from onnx_model import OnnxModel, split

BATCH = int(os.environ.get("BATCH", "1"))


class Api(litserve.LitAPI):
    """Rows as JSON."""

    def setup(self, device: str) -> None:  # noqa: ARG002  the interface's own
        """Open the session."""
        self.model = OnnxModel()

    def decode_request(self, request: dict) -> np.ndarray:
        """The request's rows."""
        return np.asarray(request["features"], np.float32)

    def batch(self, inputs: list[np.ndarray]) -> tuple[list[int], np.ndarray]:
        """Rows of several requests as one array."""
        return [len(rows) for rows in inputs], np.concatenate(inputs)

    def predict(self, x: np.ndarray | tuple) -> list:
        """One request, or a batch of them."""
        if BATCH == 1:
            return self.model.run(x)
        counts, rows = x
        return split(counts, self.model.run(rows))

    def unbatch(self, output: list) -> list:
        """Already one entry per request."""
        return output

    def encode_response(self, output: list[np.ndarray]) -> dict[str, list]:
        """One list per output."""
        return {name: one.tolist() for name, one in zip(self.model.outputs, output, strict=True)}


if __name__ == "__main__":
    api = Api(max_batch_size=BATCH, batch_timeout=0.0)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
