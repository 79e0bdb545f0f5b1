"""Outputs that are sequences or optionals of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from penstock.runtimes.contract import LoadOptions, ModelExecutionError, ModelLoadError
from penstock.runtimes.onnx import OnnxRuntime
from penstock.runtimes.testing import check_runtime

if TYPE_CHECKING:
    from pathlib import Path

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


def write(directory: Path, nodes: list[Any], output: Any, kind: int = TensorProto.FLOAT) -> Path:
    given = helper.make_tensor_value_info("x", kind, ["n", 3])
    graph = helper.make_graph(nodes, "g", [given], [output])
    opsets = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=9), directory / "model.onnx")
    return directory


def sequence(kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_sequence_value_info("y", kind, None)


def load(directory: Path) -> Any:
    return OnnxRuntime().load(directory / "model.onnx", LoadOptions())


def test_a_sequence_of_tensors_of_one_shape_is_a_tensor(tmp_path: Path) -> None:
    node = helper.make_node("SequenceConstruct", ["x", "x"], ["y"])
    model = load(write(tmp_path, [node], sequence()))
    (given,) = model.execute([ROWS], ["y"])
    np.testing.assert_array_equal(given, np.stack([ROWS, ROWS]))
    assert model.signature.outputs[0].shape == (2, -1, 3)
    assert not model.signature.batch_axis
    assert any("its parts along axis 0" in remark for remark in model.signature.remarks)
    check_runtime(OnnxRuntime(), tmp_path)


def test_a_sequence_with_a_part_for_each_row_is_rows(tmp_path: Path) -> None:
    node = helper.make_node("SplitToSequence", ["x"], ["y"], axis=0, keepdims=0)
    model = load(write(tmp_path, [node], sequence()))
    (given,) = model.execute([ROWS], ["y"])
    np.testing.assert_array_equal(given, ROWS)
    assert model.signature.rows_axis
    check_runtime(OnnxRuntime(), tmp_path)


def test_texts_in_a_sequence_are_texts(tmp_path: Path) -> None:
    node = helper.make_node("SequenceConstruct", ["x"], ["y"])
    model = load(write(tmp_path, [node], sequence(TensorProto.STRING), TensorProto.STRING))
    rows = np.array([[b"a", "ö".encode(), b""]], object)
    assert model.execute([rows], ["y"])[0].tolist() == [rows.tolist()]


def test_parts_of_several_shapes_cannot_be_answered(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"]),
        helper.make_node("SequenceConstruct", ["x", "t"], ["y"]),
    ]
    model = load(write(tmp_path, nodes, sequence()))
    with pytest.raises(ModelExecutionError, match=r"of the shapes \[2, 3\], \[3, 2\]"):
        model.execute([ROWS], ["y"])
    square = np.eye(3, dtype=np.float32)
    assert model.execute([square], ["y"])[0].shape == (2, 3, 3)


def test_an_optional_is_its_value(tmp_path: Path) -> None:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, ["n", 3])
    output = helper.make_value_info("y", helper.make_optional_type_proto(tensor))
    model = load(write(tmp_path, [helper.make_node("Optional", ["x"], ["y"])], output))
    np.testing.assert_array_equal(model.execute([ROWS], ["y"])[0], ROWS)


def test_an_input_that_is_a_sequence_is_refused_by_name(tmp_path: Path) -> None:
    given = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    made = helper.make_tensor_value_info("y", TensorProto.INT64, [])
    graph = helper.make_graph(
        [helper.make_node("SequenceLength", ["x"], ["y"])], "g", [given], [made]
    )
    opsets = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "model.onnx")
    with pytest.raises(ModelLoadError, match=r"input 'x' has type seq\(tensor\(float\)\)"):
        load(tmp_path)


def test_the_output_of_an_unsupported_type_is_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("SequenceConstruct", ["x"], ["s"]),
        helper.make_node("Optional", ["s"], ["y"]),
    ]
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    kind = helper.make_optional_type_proto(helper.make_sequence_type_proto(tensor))
    with pytest.raises(ModelLoadError, match=r"output 'y' has type optional\(seq\(tensor\(float"):
        load(write(tmp_path, nodes, helper.make_value_info("y", kind)))
