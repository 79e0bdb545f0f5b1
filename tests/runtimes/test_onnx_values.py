"""Every datatype through real ONNX files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.runtimes.contract import ModelExecutionError, ModelLoadError
from penstock.runtimes.datatypes import NUMPY_OF
from penstock.runtimes.onnx_values import decode_strings, encode_strings

if TYPE_CHECKING:
    from collections.abc import Callable

ONNX_OF = {
    "BOOL": "BOOL",
    "UINT8": "UINT8",
    "UINT16": "UINT16",
    "UINT32": "UINT32",
    "UINT64": "UINT64",
    "INT8": "INT8",
    "INT16": "INT16",
    "INT32": "INT32",
    "INT64": "INT64",
    "FP16": "FLOAT16",
    "FP32": "FLOAT",
    "FP64": "DOUBLE",
    "BYTES": "STRING",
}


def examples(datatype: str) -> np.ndarray[Any, Any]:
    """Six values, the extremes of the type among them."""
    dtype: Any = NUMPY_OF[datatype]
    if datatype == "BYTES":
        return np.array(["", "a", "é", "日本", "a\0b", "x" * 1000], np.object_)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.array([limits.min, limits.max, 0, 1, 2, 3], dtype)
    if dtype.kind == "f":
        limits_f = np.finfo(dtype)
        return np.array([limits_f.min, limits_f.max, np.nan, np.inf, -0.0, limits_f.tiny], dtype)
    return np.array([True, False, True, True, False, False])


def as_contract(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return encode_strings(values) if values.dtype == np.object_ else values


def test_every_datatype_is_covered() -> None:
    assert ONNX_OF.keys() == NUMPY_OF.keys()


@pytest.mark.parametrize("datatype", ONNX_OF)
def test_datatype_round_trip(load_graph: Callable[..., Any], datatype: str) -> None:
    kind = ONNX_OF[datatype]
    model = load_graph(
        [("Identity", ["x"], ["y"])], [("x", kind, ["N", 3])], [("y", kind, ["N", 3])]
    )
    assert [s.datatype for s in (*model.signature.inputs, *model.signature.outputs)] == [
        datatype,
        datatype,
    ]
    values = as_contract(examples(datatype)).reshape(2, 3)
    values.flags.writeable = False
    (answer,) = model.execute([values], ["y"])
    assert answer.dtype == NUMPY_OF[datatype]
    assert answer.flags.c_contiguous
    np.testing.assert_array_equal(answer, values)


@pytest.mark.parametrize("datatype", ONNX_OF)
@pytest.mark.parametrize("shape", [(0, 3), (0, 0)])
def test_empty_batch(load_graph: Callable[..., Any], datatype: str, shape: tuple[int, ...]) -> None:
    kind = ONNX_OF[datatype]
    model = load_graph(
        [("Identity", ["x"], ["y"])], [("x", kind, ["N", "M"])], [("y", kind, ["N", "M"])]
    )
    (answer,) = model.execute([np.empty(shape, NUMPY_OF[datatype])], ["y"])
    assert answer.shape == shape
    assert answer.dtype == NUMPY_OF[datatype]


@pytest.mark.parametrize("datatype", ONNX_OF)
def test_scalar(load_graph: Callable[..., Any], datatype: str) -> None:
    kind = ONNX_OF[datatype]
    model = load_graph([("Identity", ["x"], ["y"])], [("x", kind, [])], [("y", kind, [])])
    assert model.signature.inputs[0].shape == model.signature.outputs[0].shape == ()
    assert not model.signature.batch_axis
    scalar = np.array(as_contract(examples(datatype))[1], NUMPY_OF[datatype])
    (answer,) = model.execute([scalar], ["y"])
    assert answer.shape == ()
    assert answer.dtype == NUMPY_OF[datatype]
    assert answer == scalar


def test_casts_between_datatypes(load_graph: Callable[..., Any]) -> None:
    model = load_graph(
        [("Cast", ["x"], ["h"], {"to": 10}), ("Cast", ["x"], ["b"], {"to": 9})],
        [("x", "FLOAT", ["N"])],
        [("h", "FLOAT16", ["N"]), ("b", "BOOL", ["N"])],
    )
    half, flag = model.execute([np.array([0.0, 1.5], np.float32)], ["h", "b"])
    np.testing.assert_array_equal(half, np.array([0.0, 1.5], np.float16))
    np.testing.assert_array_equal(flag, [False, True])


def test_string_that_is_not_utf8_is_refused(load_graph: Callable[..., Any]) -> None:
    model = load_graph(
        [("Identity", ["x"], ["y"])], [("x", "STRING", ["N"])], [("y", "STRING", ["N"])]
    )
    with pytest.raises(ModelExecutionError, match=r"input 'x' must be UTF-8.*\\xff"):
        model.execute([np.array([b"fine", b"\xff"], np.object_)], ["y"])


def test_str_elements_are_refused_rather_than_guessed(load_graph: Callable[..., Any]) -> None:
    model = load_graph(
        [("Identity", ["x"], ["y"])], [("x", "STRING", ["N"])], [("y", "STRING", ["N"])]
    )
    with pytest.raises(ModelExecutionError, match="input 'x' must hold bytes"):
        model.execute([np.array(["text"], np.object_)], ["y"])


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_strings_survive_both_conversions(texts: list[str]) -> None:
    values = np.array([text.encode() for text in texts], np.object_).reshape(-1, 1)
    decoded = decode_strings("x", values)
    assert decoded.ravel().tolist() == texts
    back = encode_strings(decoded)
    assert back.shape == values.shape
    assert back.tolist() == values.tolist()


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "COMPLEX64", "COMPLEX128"])
def test_types_without_numpy_are_refused_by_name(load_graph: Callable[..., Any], kind: str) -> None:
    with pytest.raises(ModelLoadError, match=rf"model\.onnx: .*tensor\({kind.lower()}\)"):
        load_graph([("Identity", ["x"], ["y"])], [("x", kind, ["N"])], [("y", kind, ["N"])])
