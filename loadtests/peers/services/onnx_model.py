# ruff: noqa: INP001  a script for the peer's own environment, not part of the package
# mypy: ignore-errors
"""The model behind every peer: one session, one thread, no spinning.

Runs in each peer's own environment, so it knows nothing of Penstock.
"""

import os

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: it is read once
import onnxruntime


class OnnxModel:
    """The file named by ``MODEL_PATH``."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            os.environ["MODEL_PATH"], options, providers=["CPUExecutionProvider"]
        )
        self.input = self.session.get_inputs()[0]
        self.outputs = [output.name for output in self.session.get_outputs()]

    def run(self, features: np.ndarray) -> list[np.ndarray]:
        """All outputs, in the model's order."""
        return self.session.run(self.outputs, {self.input.name: features})

    def answer(self, rows: object) -> dict[str, list]:
        """Nested lists in, nested lists out by output name."""
        results = self.run(np.asarray(rows, np.float32))
        return {name: result.tolist() for name, result in zip(self.outputs, results, strict=True)}


def split(counts: list[int], results: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Rows of one run back to the requests that brought ``counts`` rows each."""
    ends = np.cumsum(counts)
    return [
        [result[end - count : end] for result in results]
        for count, end in zip(counts, ends, strict=True)
    ]
