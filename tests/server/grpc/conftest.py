"""One server whose models the tests of gRPC share, and calls of its methods by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest

from penstock.server.oip.schema import SERVICE, message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Gives its input back; rows from 1000 on wait until a file is there.
HELD = """
import time
from pathlib import Path


class Model:
    inputs = {"x": ("FP32", [-1, 1])}
    outputs = {"y": ("FP32", [-1, 1])}
    batch_axis = True

    def load(self, directory):
        self.gate = Path("GATE")

    def predict(self, inputs):
        if (inputs["x"] >= 1000).any():
            with self.gate.with_name("runs").open("a") as runs:
                runs.write("x")
            while not self.gate.exists():
                time.sleep(0.01)
        return {"y": inputs["x"]}
"""


class Gate:
    """Whether runs of the model ``held`` may end.

    Args:
        directory: Where the model looks.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "open"
        self._runs = directory / "runs"
        self._runs.touch()

    @property
    def runs(self) -> int:
        """How many runs have waited."""
        return self._runs.stat().st_size

    def open(self) -> None:
        self.path.touch()


def write_held(registry: Path, gate: Gate) -> None:
    version = registry / "held" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(HELD.replace("GATE", str(gate.path)))
    (registry / "held" / "model.toml").write_text(
        "[batching]\nmax_batch_size = 1\nmax_queue_rows = 2\nmax_queue_seconds = 60\n"
    )


@pytest.fixture(scope="session")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return Gate(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="session")
def registry(
    tmp_path_factory: pytest.TempPathFactory, onnx_file: Callable[..., Path], gate: Gate
) -> Path:
    root = tmp_path_factory.mktemp("registry")
    for name, kind in {"echo": "FLOAT", "texts": "STRING", "halves": "FLOAT16"}.items():
        tensors = [("x", kind, ["n", 2])], [("y", kind, ["n", 2])]
        for version in (1, 2):
            path = root / name / str(version) / "model.onnx"
            onnx_file(path, [("Identity", ["x"], ["y"])], *tensors)
    write_held(root, gate)
    return root


@pytest.fixture
def held(tmp_path: Path) -> tuple[Path, Gate]:
    """A registry with the model ``held`` alone, and its gate."""
    gate = Gate(tmp_path)
    write_held(tmp_path / "registry", gate)
    return tmp_path / "registry", gate


@pytest.fixture(scope="session")
def running(live_server: Any, grpc_server: Any, registry: Path) -> Iterator[Any]:
    options = {"allow_code": "held", "max_body_bytes": 1 << 22}
    with live_server(registry, "fast", "uvloop", **options) as server, grpc_server(server) as port:
        yield port


@pytest.fixture(scope="session")
def channel(running: Any) -> Iterator[grpc.Channel]:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(running.address, options) as channel:
        yield channel


@pytest.fixture(scope="session")
def method(channel: grpc.Channel) -> Callable[[str], Any]:
    """``method(name)`` is a method of the service."""

    def named(name: str, answer: str = "") -> Any:
        return channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=lambda one: one if type(one) is bytes else one.SerializeToString(),
            response_deserializer=message(answer or f"{name}Response").FromString,
        )

    return named


@pytest.fixture(scope="session")
def request_of() -> Callable[..., Any]:
    """``request_of(model, array, **fields)`` is a ``ModelInferRequest`` with raw contents."""

    def made(model: str, array: Any, datatype: str = "FP32", **fields: Any) -> Any:
        request = message("ModelInferRequest")(model_name=model, **fields)
        request.inputs.add(name="x", datatype=datatype, shape=np.shape(array))
        request.raw_input_contents.append(np.asarray(array).tobytes())
        return request

    return made
