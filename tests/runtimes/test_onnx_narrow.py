"""bfloat16, float8 and 4-bit tensors: served as wider types, with the values of onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, save

from penstock.runtimes.contract import LoadOptions, UnsuitableInput
from penstock.runtimes.onnx import OnnxRuntime
from penstock.runtimes.testing import check_runtime

if TYPE_CHECKING:
    from pathlib import Path

FLOATS = {
    "BFLOAT16": ml_dtypes.bfloat16,
    "FLOAT8E4M3FN": ml_dtypes.float8_e4m3fn,
    "FLOAT8E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "FLOAT8E5M2": ml_dtypes.float8_e5m2,
    "FLOAT8E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
}
INTEGERS = {"INT4": ("INT8", -8, 7), "UINT4": ("UINT8", 0, 15)}


def write(directory: Path, given: str, made: str) -> Path:
    """A model that casts its input."""
    kinds = [getattr(TensorProto, one) for one in (given, made)]
    ends = [
        helper.make_tensor_value_info(name, kind, ["n", 3])
        for name, kind in zip("xy", kinds, strict=True)
    ]
    node = helper.make_node("Cast", ["x"], ["y"], to=kinds[1])
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 21)]
    directory.mkdir(parents=True, exist_ok=True)
    save(helper.make_model(graph, opset_imports=opsets, ir_version=10), directory / "model.onnx")
    return directory


def load(directory: Path) -> Any:
    return OnnxRuntime().load(directory / "model.onnx", LoadOptions())


def numbers() -> np.ndarray[Any, Any]:
    """Numbers of many sizes, ties, NaN and infinities."""
    generator = np.random.default_rng(0)
    wide = generator.standard_normal(300) * 10.0 ** generator.integers(-6, 5, 300)
    odd = [0, -0.0, 1, 1.0625, 1.1875, 448, 449, 57344, 1e9, -1e9, 3.4e38, 1e-9, np.nan]
    return np.concatenate((wide, odd, [np.inf, -np.inf])).astype(np.float32).reshape(-1, 3)


@pytest.mark.parametrize("kind", FLOATS)
def test_outputs_are_what_onnxruntime_casts_to(tmp_path: Path, kind: str) -> None:
    model = load(write(tmp_path, "FLOAT", kind))
    (given,) = model.execute([numbers()], ["y"])
    assert model.signature.outputs[0].datatype == "FP32"
    assert given.dtype == np.float32
    both = load(write(tmp_path / "back", kind, "FLOAT"))
    (again,) = both.execute([given], ["y"])
    np.testing.assert_array_equal(again, given)  # a value of the type comes back as it is


@pytest.mark.parametrize("kind", FLOATS)
def test_inputs_are_rounded_as_onnxruntime_rounds(tmp_path: Path, kind: str) -> None:
    """Cast of onnxruntime is the oracle."""
    every = numbers()
    (right,) = load(write(tmp_path / "out", "FLOAT", kind)).execute([every], ["y"])
    (given,) = load(write(tmp_path / "in", kind, "FLOAT")).execute([every], ["y"])
    if kind == "FLOAT8E5M2":  # it has infinities, which Cast never makes
        infinite = np.isinf(every)
        np.testing.assert_array_equal(given[infinite], every[infinite])
        given, right = given[~infinite], right[~infinite]
    np.testing.assert_array_equal(given, right)


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_integers_of_four_bits_are_packed_and_unpacked(
    tmp_path: Path, kind: str, rows: int
) -> None:
    datatype, low, high = INTEGERS[kind]
    dtype = np.int8 if datatype == "INT8" else np.uint8
    generator = np.random.default_rng(rows)
    values = generator.integers(low, high, (rows, 3), endpoint=True).astype(dtype)
    values.ravel()[:2] = low, high
    taken = load(write(tmp_path / "in", kind, "FLOAT"))
    assert taken.signature.inputs[0].datatype == datatype
    (numbers_,) = taken.execute([values], ["y"])
    np.testing.assert_array_equal(numbers_, values)
    (made,) = load(write(tmp_path / "out", "FLOAT", kind)).execute([numbers_], ["y"])
    np.testing.assert_array_equal(made, values)
    assert made.dtype == dtype


@pytest.mark.parametrize(("kind", "value"), [("INT4", 8), ("INT4", -9), ("UINT4", 16)])
def test_whole_numbers_that_do_not_fit_are_the_callers_fault(
    tmp_path: Path, kind: str, value: int
) -> None:
    model = load(write(tmp_path, kind, "FLOAT"))
    dtype = np.int8 if kind == "INT4" else np.uint8
    with pytest.raises(UnsuitableInput, match=f"values from .* 4 bits hold {INTEGERS[kind][1]} to"):
        model.execute([np.full((1, 3), value, dtype)], ["y"])


@pytest.mark.parametrize("kind", ["BFLOAT16", "FLOAT8E4M3FN", "INT4"])
def test_conformance(tmp_path: Path, kind: str) -> None:
    inputs = [np.arange(6, dtype=np.float32).reshape(2, 3)]
    check_runtime(OnnxRuntime(), write(tmp_path, "FLOAT", kind), inputs=inputs)


def test_people_are_told(tmp_path: Path) -> None:
    signature = load(write(tmp_path, "BFLOAT16", "FLOAT")).signature
    assert "'x' is of type tensor(bfloat16); it is served as FP32" in signature.remarks
    assert signature.batch_axis
