"""LiteRT models: answers are those of numpy, and broken files are refused."""

from __future__ import annotations

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from penstock.runtimes.contract import LoadOptions, ModelExecutionError, ModelLoadError
from penstock.runtimes.litert import LitertRuntime
from penstock.runtimes.testing import check_runtime
from penstock.server.registry.publish_source import find_source

WEIGHTS = np.random.default_rng(1).random((3, 4), np.float32)
BIAS = np.array([0.5, -0.5, 0], np.float32)


def tensor(name, shape, buffer, signature=None):
    made = schema.TensorT()
    made.name, made.shape, made.buffer = name, list(shape), buffer
    made.type, made.shapeSignature = schema.TensorType.FLOAT32, signature
    return made


def buffer(values=None):
    made = schema.BufferT()
    made.data = None if values is None else np.frombuffer(values.tobytes(), np.uint8)
    return made


def dense(rows=-1):
    """One dense layer, as bytes of a file."""
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor(b"x", (1, 4), 0, [rows, 4]),
        tensor(b"weights", (3, 4), 1),
        tensor(b"bias", (3,), 2),
        tensor(b"y", (1, 3), 0, [rows, 3]),
    ]
    graph.inputs, graph.outputs = [0], [3]
    layer = schema.OperatorT()
    layer.opcodeIndex, layer.inputs, layer.outputs = 0, [0, 1, 2], [3]
    layer.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    layer.builtinOptions = schema.FullyConnectedOptionsT()
    graph.operators = [layer]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    model.buffers = [buffer(), buffer(WEIGHTS), buffer(BIAS)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(dense())
    return path


def load(path, **settings):
    return LitertRuntime().load(path, LoadOptions(settings=settings))


def test_answers_are_right_and_rows_share_runs(model_file):
    model = load(model_file)
    assert [(one.name, one.shape) for one in model.signature.inputs] == [("x", (-1, 4))]
    assert [(one.name, one.shape) for one in model.signature.outputs] == [("y", (-1, 3))]
    assert model.signature.batch_axis
    for rows in (1, 2, 64, 1):
        x = np.random.default_rng(rows).random((rows, 4), np.float32)
        x.flags.writeable = False
        (y,) = model.execute([x], ["y"])
        np.testing.assert_allclose(y, x @ WEIGHTS.T + BIAS, rtol=1e-5)
    with pytest.raises(ModelExecutionError, match="has the shape"):
        model.execute([np.zeros((2, 5), np.float32)], ["y"])
    model.unload()
    with pytest.raises(ModelExecutionError, match="unloaded"):
        model.execute([np.zeros((2, 4), np.float32)], ["y"])


def test_a_file_of_a_fixed_number_of_rows_is_asked_for_that_many(model_file):
    model_file.write_bytes(dense(rows=1))
    model = load(model_file)
    assert not model.signature.rows_axis
    assert model.execute([np.ones((1, 4), np.float32)], ["y"])[0].shape == (1, 3)
    with pytest.raises(ModelLoadError, match="axis 0 of 'x' is not open"):
        load(model_file, batch_axis=True)


def test_the_conformance_kit_passes(model_file):
    check_runtime(LitertRuntime(), model_file.parent)


def test_a_push_knows_the_file_by_its_ending(tmp_path):
    path = tmp_path / "my net.tflite"
    path.write_bytes(dense())
    assert find_source(path).name == "model.tflite"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (dense()[:40], "cannot load"),
        (dense()[: len(dense()) // 2], "cannot load"),
        (b"\xff\xff\xff\x7fTFL3" + bytes(100), "cannot load"),
        (b"this is no model", "TFL3 is not at its byte 4"),
        (b"", "TFL3 is not at its byte 4"),
    ],
)
def test_hostile_files_are_refused_with_the_reason(model_file, content, reason):
    model_file.write_bytes(content)
    with pytest.raises(ModelLoadError, match=reason):
        load(model_file)
