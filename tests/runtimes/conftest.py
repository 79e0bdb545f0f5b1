from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
import pytest
from onnx import TensorProto, helper

from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.onnx import OnnxRuntime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from penstock.runtimes.onnx_model import OnnxModel

Declared = tuple[str, str, "Sequence[int | str | None] | None"]


@pytest.fixture
def tensor() -> Callable[..., onnx.ValueInfoProto]:
    """Declare a tensor: name, ONNX element type such as ``FLOAT``, shape (``None``: unknown)."""

    def declare(
        name: str, kind: str, shape: Sequence[int | str | None] | None
    ) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, getattr(TensorProto, kind), shape)

    return declare


@pytest.fixture
def graph_file(tmp_path: Path, tensor: Callable[..., onnx.ValueInfoProto]) -> Callable[..., Path]:
    """Write ``model.onnx`` from nodes ``(op, inputs, outputs[, attributes])`` and tensors."""

    def write(
        nodes: Sequence[tuple[Any, ...]],
        inputs: Sequence[Declared],
        outputs: Sequence[Declared | onnx.ValueInfoProto],
        *,
        initializers: Sequence[onnx.TensorProto] = (),
        metadata: dict[str, str] | None = None,
    ) -> Path:
        graph = helper.make_graph(
            [
                helper.make_node(op, given, made, **(rest[0] if rest else {}))
                for op, given, made, *rest in nodes
            ],
            "test",
            [tensor(*spec) for spec in inputs],
            [tensor(*spec) if isinstance(spec, tuple) else spec for spec in outputs],
            initializer=list(initializers),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)],
            ir_version=9,
        )
        helper.set_model_props(model, metadata or {})
        path = tmp_path / "model.onnx"
        onnx.save(model, path)
        return path

    return write


@pytest.fixture
def load() -> Callable[..., OnnxModel]:
    def load_file(path: Path, **settings: Any) -> OnnxModel:
        return OnnxRuntime().load(path, LoadOptions(settings=settings))

    return load_file


@pytest.fixture
def load_graph(
    graph_file: Callable[..., Path], load: Callable[..., OnnxModel]
) -> Callable[..., OnnxModel]:
    """`graph_file`, then load it."""

    def build(*args: Any, settings: dict[str, Any] | None = None, **more: Any) -> OnnxModel:
        return load(graph_file(*args, **more), **(settings or {}))

    return build
