"""A registry of small models and pipelines of them, and a way to ask a server with arrays."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: Two branches from one input that meet again, and are scaled at last.
DIAMOND = """
[[steps]]
name = "join"
model = "join"
version = 1
inputs = {a = "left.y", b = "right.y"}

[[steps]]
name = "left"
model = "scale"
version = 1
inputs = {x = "request.features"}

[[steps]]
name = "right"
model = "scale"
version = 2
inputs = {x = "request.features"}

[[steps]]
name = "last"
model = "scale"
version = 1
inputs = {x = "join.sum"}

[outputs]
total = "join.total"
scaled = "last.y"
half = "left.y"
"""


def add_pipeline(registry: Path, name: str, text: str, version: int = 1) -> Path:
    directory = registry / name / str(version)
    directory.mkdir(parents=True)
    (directory / "pipeline.toml").write_text(text)
    return directory


def add_models(root: Path, onnx_file: Callable[..., Path]) -> None:
    """``scale`` 1 and 2, ``join`` of two inputs, ``pick`` which fails for large numbers."""
    for version, factor in ((1, 0.5), (2, 3.0)):
        onnx_file(
            root / "scale" / str(version) / "model.onnx",
            [("Mul", ["x", "f"], ["m"]), ("Tanh", ["m"], ["y"])],
            [("x", "FLOAT", ["n", 3])],
            [("y", "FLOAT", ["n", 3])],
            [numpy_helper.from_array(np.float32(factor), "f")],
        )
    (root / "scale" / "model.toml").write_text('version_policy = "all"\n')
    onnx_file(
        root / "join" / "1" / "model.onnx",
        [("Sub", ["a", "b"], ["sum"]), ("ReduceSum", ["sum", "axis"], ["total"])],
        [("a", "FLOAT", ["n", 3]), ("b", "FLOAT", ["n", 3])],
        [("sum", "FLOAT", ["n", 3]), ("total", "FLOAT", ["n", 1])],
        [numpy_helper.from_array(np.array([1]), "axis")],
    )
    onnx_file(
        root / "pick" / "1" / "model.onnx",
        [("Gather", ["table", "index"], ["value"])],
        [("index", "INT64", ["n", 1])],
        [("value", "FLOAT", ["n", 1])],
        [numpy_helper.from_array(np.arange(8, dtype=np.float32), "table")],
    )


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, onnx_file: Callable[..., Path]) -> Path:
    """A registry of models without pipelines."""
    root = tmp_path_factory.mktemp("registry")
    add_models(root, onnx_file)
    return root


Answer = tuple[int, Any]


class Asker:
    """One keep-alive connection that sends arrays of float32 or int64."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def raw(
        self,
        path: str,
        inputs: Mapping[str, np.ndarray[Any, Any]],
        outputs: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        document: dict[str, Any] = {
            "inputs": [
                {
                    "name": name,
                    "shape": array.shape,
                    "datatype": "INT64" if array.dtype.kind == "i" else "FP32",
                    "data": array.ravel().tolist(),
                }
                for name, array in inputs.items()
            ]
        }
        if outputs:
            document["outputs"] = [{"name": name} for name in outputs]
        self._connection.request(
            "POST", f"/v2/models/{path}/infer", json.dumps(document), dict(headers or {})
        )
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read())

    def ask(
        self,
        path: str,
        inputs: Mapping[str, np.ndarray[Any, Any]],
        outputs: tuple[str, ...] = (),
    ) -> dict[str, np.ndarray[Any, Any]]:
        status, document = self.raw(path, inputs, outputs)
        assert status == 200, document
        return {
            one["name"]: np.array(one["data"], np.float32).reshape(one["shape"])
            for one in document["outputs"]
        }
