"""Write the network of the ONNX example ``digits`` in the formats of three other libraries.

    examples/networks/digits-torch/1/model.pt2        PyTorch, with digits-torch/model.toml
    examples/networks/digits-openvino/1/model.xml     OpenVINO, with its weights in model.bin
    examples/networks/digits-litert/1/model.tflite    LiteRT (TensorFlow Lite)

Each has the weights of the ONNX file, and gives the same outputs: ``label`` and ``probabilities``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
import onnx
import openvino
import torch
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper
from openvino import opset13 as op

from penstock.server.cli.main import main as penstock

if TYPE_CHECKING:
    from numpy.typing import NDArray

    #: Weights ``(inputs, outputs)`` and bias ``(outputs,)`` of a layer.
    Layer = tuple[NDArray[np.float32], NDArray[np.float32]]

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "registry" / "digits" / "1" / "model.onnx"
PLACE = HERE / "networks"
PIXELS = 64
LABEL, PROBABILITIES = "label", "probabilities"
TORCH_SETTINGS = f"""\
[runtime]
outputs = ["{LABEL}", "{PROBABILITIES}"]
batch_axis = true        # each picture is read by itself
"""


def read_layers() -> list[Layer]:
    """The layers of the ONNX file; the first one scales the pixels, too."""
    graph = onnx.load(SOURCE).graph
    values = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    scaler = next(node for node in graph.node if node.op_type == "Scaler")
    offset, scale = (
        np.array(next(one.floats for one in scaler.attribute if one.name == name))
        for name in ("offset", "scale")
    )
    layers = [(values[f"coefficient{n}"], values[f"intercepts{n}"][0]) for n in ("", 1, 2)]
    weights, bias = layers[0]
    scaled = weights * scale[:, None]
    first = scaled.astype(np.float32), (bias - offset @ scaled).astype(np.float32)
    return [first, *layers[1:]]


class Network(torch.nn.Module):  # type: ignore[misc, unused-ignore]  # torch may be missing
    """The network in PyTorch."""

    def __init__(self, layers: list[Layer]) -> None:
        super().__init__()
        parts: list[torch.nn.Module] = []
        for weights, bias in layers:
            linear = torch.nn.Linear(*weights.shape)
            linear.weight.data = torch.from_numpy(weights.T.copy())
            linear.bias.data = torch.from_numpy(bias.copy())
            parts += [linear, torch.nn.ReLU()]
        self.layers = torch.nn.Sequential(*parts[:-1])

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Labels and probabilities of some pictures."""
        scores = self.layers(features)
        return scores.argmax(dim=1), scores.softmax(dim=1)


def write_torch(layers: list[Layer], path: Path) -> None:
    """Write the network as torch.export does."""
    rows = torch.export.Dim("rows", min=1, max=4096)
    given = (torch.zeros(3, PIXELS),)
    program = torch.export.export(Network(layers).eval(), given, dynamic_shapes=({0: rows},))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it has the paths of the machine that wrote the file
    torch.export.save(program, str(path))


def write_openvino(layers: list[Layer], path: Path) -> None:
    """Write the network as OpenVINO's own format, in 32 bits."""
    features = op.parameter([-1, PIXELS], np.float32, name="features")
    features.output(0).set_names({"features"})
    value: Any = features
    for number, (weights, bias) in enumerate(layers):
        value = op.relu(value) if number else value
        product = op.matmul(value, op.constant(weights), transpose_a=False, transpose_b=False)
        value = op.add(product, op.constant(bias))
    probabilities = op.softmax(value, 1)
    probabilities.output(0).set_names({PROBABILITIES})
    best = op.topk(value, op.constant(1), 1, "max", "value", index_element_type="i64")
    label = op.squeeze(best.output(1), op.constant([1]))
    label.output(0).set_names({LABEL})
    outputs = [label.output(0), probabilities.output(0)]
    openvino.save_model(openvino.Model(outputs, [features], "digits"), path, compress_to_fp16=False)


class LitertFile:
    """A file of LiteRT that is being made: one graph of tensors and operators."""

    def __init__(self) -> None:
        self._graph, self._model = schema.SubGraphT(), schema.ModelT()
        self._graph.tensors, self._graph.operators = [], []
        self._model.version, self._model.subgraphs = 3, [self._graph]
        self._model.operatorCodes, self._model.buffers = [], [schema.BufferT()]

    def tensor(self, name: str, shape: tuple[int, ...], values: Any = None) -> int:
        """Number of a new tensor; without values it is computed, with any number of rows."""
        one, kinds = schema.TensorT(), schema.TensorType
        one.name, one.shape, one.buffer = name, [1, *shape] if values is None else [*shape], 0
        one.shapeSignature = [-1, *shape] if values is None else None
        one.type = kinds.FLOAT32 if values is None else kinds.__dict__[values.dtype.name.upper()]
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            one.buffer = len(self._model.buffers)
            self._model.buffers.append(buffer)
        self._graph.tensors.append(one)
        return len(self._graph.tensors) - 1

    def whole_numbers(self, number: int) -> None:
        """A computed tensor holds whole numbers."""
        self._graph.tensors[number].type = schema.TensorType.INT64

    def operator(self, kind: str, inputs: list[int], output: int, **options: Any) -> int:
        """Number of the output of a new operator, named as in the schema: ``Softmax``."""
        code, made = schema.OperatorCodeT(), schema.OperatorT()
        upper = "".join(f"_{one}" if one.isupper() else one for one in kind).strip("_").upper()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, upper)
        code.version = 1
        made.opcodeIndex, made.inputs, made.outputs = (
            len(self._model.operatorCodes),
            inputs,
            [output],
        )
        made.builtinOptionsType = getattr(schema.BuiltinOptions, f"{kind}Options")
        made.builtinOptions = getattr(schema, f"{kind}OptionsT")()
        for name, value in options.items():
            setattr(made.builtinOptions, name, value)
        self._model.operatorCodes.append(code)
        self._graph.operators.append(made)
        return output

    def write(self, path: Path, inputs: list[int], outputs: list[int]) -> None:
        """Write the file."""
        self._graph.inputs, self._graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))


def write_litert(layers: list[Layer], path: Path) -> None:
    """Write the network as a file of LiteRT."""
    file = LitertFile()
    features = value = file.tensor("features", (PIXELS,))
    relu = schema.ActivationFunctionType.RELU
    for number, (weights, bias) in enumerate(layers, start=1):
        constants = [
            file.tensor(f"weights {number}", weights.T.shape, np.ascontiguousarray(weights.T)),
            file.tensor(f"bias {number}", bias.shape, bias),
        ]
        last = number == len(layers)
        value = file.operator(
            "FullyConnected",
            [value, *constants],
            file.tensor(f"layer {number}", bias.shape),
            fusedActivationFunction=schema.ActivationFunctionType.NONE if last else relu,
        )
    shape = layers[-1][1].shape
    probabilities = file.operator("Softmax", [value], file.tensor(PROBABILITIES, shape), beta=1.0)
    axis = file.tensor("axis", (1,), np.array([1], np.int32))
    label = file.tensor(LABEL, ())
    file.whole_numbers(label)
    file.operator("ArgMax", [value, axis], label, outputType=schema.TensorType.INT64)
    file.write(path, [features], [label, probabilities])


def publish(name: str, file: Path) -> None:
    """Publish a file as version 1, in place of the one that was there."""
    shutil.rmtree(PLACE / name / "1", ignore_errors=True)
    status = penstock(["push", str(PLACE), name, str(file)])
    if status:
        raise SystemExit(status)


def main() -> None:
    """Write and publish the three."""
    layers = read_layers()
    os.environ["PENSTOCK_ALLOW_CODE"] = "digits-torch"  # its file may hold code
    (PLACE / "digits-torch").mkdir(parents=True, exist_ok=True)
    (PLACE / "digits-torch" / "model.toml").write_text(TORCH_SETTINGS)
    with tempfile.TemporaryDirectory() as made:
        for write, name, file in (
            (write_torch, "digits-torch", "model.pt2"),
            (write_openvino, "digits-openvino", "model.xml"),
            (write_litert, "digits-litert", "model.tflite"),
        ):
            write(layers, Path(made, file))
            publish(name, Path(made, file))


if __name__ == "__main__":
    main()
