"""Shapes, optional inputs, and the decision about the batch axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from penstock.runtimes.contract import (
    VARIABLE,
    LoadOptions,
    ModelExecutionError,
    ModelLoadError,
    TensorSpec,
)
from penstock.runtimes.onnx import OnnxRuntime

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.runtimes.onnx_model import OnnxModel


def test_shapes_and_order(load_graph: Callable[..., Any]) -> None:
    model = load_graph(
        [("Add", ["a", "b"], ["sum"]), ("Sub", ["a", "b"], ["difference"])],
        [("b", "FLOAT", ["N", 3, None]), ("a", "FLOAT", ["N", 3, "time"])],
        [("sum", "FLOAT", ["N", 3, None]), ("difference", "FLOAT", ["N", 3, None])],
        metadata={"author": "a team", "größe": "1"},
    )
    assert model.signature.inputs == (
        TensorSpec("b", "FP32", (VARIABLE, 3, VARIABLE)),
        TensorSpec("a", "FP32", (VARIABLE, 3, VARIABLE)),
    )
    assert [spec.name for spec in model.signature.outputs] == ["sum", "difference"]
    assert model.signature.batch_axis
    assert model.metadata == {"author": "a team", "größe": "1"}
    b, a = np.ones((2, 3, 4), np.float32), np.full((2, 3, 4), 5, np.float32)
    difference, total = model.execute([b, a], ["difference", "sum"])
    assert (difference == 4).all()
    assert (total == 6).all()


def test_only_the_wanted_outputs_come_back(load_graph: Callable[..., Any]) -> None:
    model = load_graph(
        [("Neg", ["x"], ["y"]), ("Abs", ["x"], ["z"])],
        [("x", "FLOAT", ["N"])],
        [("y", "FLOAT", ["N"]), ("z", "FLOAT", ["N"])],
    )
    x = np.array([-1], np.float32)
    assert [a.tolist() for a in model.execute([x], ["z"])] == [[1.0]]
    assert model.execute([x], []) == []


def test_model_without_batch_axis(load_graph: Callable[..., Any]) -> None:
    model = load_graph([("Neg", ["x"], ["y"])], [("x", "FLOAT", [2, 3])], [("y", "FLOAT", [2, 3])])
    assert not model.signature.batch_axis
    assert model.signature.inputs[0].shape == (2, 3)
    with pytest.raises(ModelExecutionError, match="invalid dimensions for input: x"):
        model.execute([np.zeros((3, 3), np.float32)], ["y"])


@pytest.mark.parametrize(
    ("given", "made"), [("N", "N"), (None, None), ("unk__1", "unk__2"), ("N", None)]
)
def test_rows_that_keep_to_themselves_make_a_batch_axis(
    load_graph: Callable[..., Any], given: str | None, made: str | None
) -> None:
    model = load_graph(
        [("Softmax", ["x"], ["y"], {"axis": 1})],
        [("x", "FLOAT", [given, 4])],
        [("y", "FLOAT", [made, 4])],
    )
    assert model.signature.batch_axis


COUPLED: dict[str, tuple[list[tuple[Any, ...]], str]] = {
    "softmax over rows": ([("Softmax", ["x"], ["y"], {"axis": 0})], "FLOAT"),
    "cumulative sum": ([("CumSum", ["x", "zero"], ["y"])], "FLOAT"),
    "centred on the batch": (
        [("ReduceMean", ["x", "axes"], ["m"], {"keepdims": 1}), ("Sub", ["x", "m"], ["y"])],
        "FLOAT",
    ),
    "first row for all": (
        [("Gather", ["x", "zero"], ["r"], {"axis": 0}), ("Mul", ["x", "r"], ["y"])],
        "FLOAT",
    ),
    "shape of the batch": ([("Shape", ["x"], ["y"])], "INT64"),
    "rows that vanish": (
        [("ReduceMean", ["x", "axes"], ["y"], {"keepdims": 1})],
        "FLOAT",
    ),
}


@pytest.mark.parametrize("name", COUPLED)
@pytest.mark.parametrize("axis", ["N", None])
def test_rows_that_depend_on_each_other_make_none(
    load_graph: Callable[..., Any], name: str, axis: str | None
) -> None:
    nodes, kind = COUPLED[name]
    shape = [axis] if kind == "INT64" else [axis, 4]
    model = load_graph(
        nodes,
        [("x", "FLOAT", [axis, 4])],
        [("y", kind, shape)],
        initializers=[
            helper.make_tensor("zero", TensorProto.INT64, [], [0]),
            helper.make_tensor("axes", TensorProto.INT64, [1], [0]),
        ],
    )
    assert not model.signature.batch_axis
    assert model.signature.batching


def test_dynamic_quantisation_is_not_batched_as_its_scale_is_common(
    load_graph: Callable[..., Any],
) -> None:
    model = load_graph(
        [
            ("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
            ("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
        ],
        [("x", "FLOAT", ["N", 8])],
        [("y", "FLOAT", ["N", 8])],
    )
    assert not model.signature.batch_axis
    assert "its scale is that of the whole batch" in model.signature.batching


def test_the_user_may_overrule_the_probe(load_graph: Callable[..., Any]) -> None:
    def load(kind: str, *, batch_axis: bool) -> bool:
        model = load_graph(
            [(kind, ["x"], ["y"], {"axis": 0} if kind == "Softmax" else {})],
            [("x", "FLOAT", ["N", 4])],
            [("y", "FLOAT", ["N", 4])],
            settings={"batch_axis": batch_axis},
        )
        found: bool = model.signature.batch_axis
        return found

    assert load("Softmax", batch_axis=True)
    assert not load("Neg", batch_axis=False)


def test_a_batch_axis_cannot_be_demanded_of_fixed_shapes(load_graph: Callable[..., Any]) -> None:
    with pytest.raises(ModelLoadError, match=r"axis 0 of input 'x' is not open: \[2, 4\]"):
        load_graph(
            [("Neg", ["x"], ["y"])],
            [("x", "FLOAT", [2, 4])],
            [("y", "FLOAT", [2, 4])],
            settings={"batch_axis": True},
        )


@pytest.mark.parametrize("axis", ["N", None])
def test_a_model_that_can_neither_be_proven_nor_probed_is_not_batched(
    load_graph: Callable[..., Any], axis: str | None
) -> None:
    model = load_graph(
        # 77 columns, whatever the open dimension: no synthetic input has as many.
        [("Reshape", ["x", "shape"], ["r"]), ("Neg", ["r"], ["y"])],
        [("x", "FLOAT", [axis, None])],
        [("y", "FLOAT", [axis, 77])],
        initializers=[numpy_helper.from_array(np.array([-1, 77]), "shape")],
    )
    assert not model.signature.batch_axis
    assert "it accepts no made-up row" in model.signature.batching
    assert "batch_axis = true" in model.signature.batching


def test_convolutions_that_need_a_picture_are_probed_with_one(
    load_graph: Callable[..., Any],
) -> None:
    model = load_graph(
        [("Conv", ["x", "w"], ["c"]), ("GlobalAveragePool", ["c"], ["y"])],
        [("x", "FLOAT", [None, 3, None, None])],
        [("y", "FLOAT", [None, 1, 1, 1])],
        initializers=[numpy_helper.from_array(np.ones((1, 3, 5, 5), np.float32), "w")],
    )
    assert model.signature.batch_axis


def test_an_output_of_unknown_rank_is_observed(
    load_graph: Callable[..., Any],
) -> None:
    nodes = [
        ("Shape", ["x"], ["s"]),
        ("Cast", ["s"], ["f"], {"to": 1}),
        ("Cast", ["f"], ["shape"], {"to": 7}),
        ("Reshape", ["x", "shape"], ["y"]),
    ]
    model = load_graph(nodes, [("x", "FLOAT", ["N", 4])], [("y", "FLOAT", None)])
    assert model.signature.outputs[0].shape == (VARIABLE, VARIABLE)
    assert model.signature.batch_axis
    assert model.signature.batching.startswith("probed: ")


def test_optional_input_is_an_initializer_that_may_be_overridden(
    load_graph: Callable[..., Any],
) -> None:
    model = load_graph(
        [("Mul", ["x", "scale"], ["y"])],
        [("scale", "FLOAT", [3]), ("x", "FLOAT", ["N", 3])],
        [("y", "FLOAT", ["N", 3])],
        initializers=[numpy_helper.from_array(np.array([1, 2, 3], np.float32), "scale")],
    )
    assert model.signature.inputs == (
        TensorSpec("x", "FP32", (VARIABLE, 3)),
        TensorSpec("scale", "FP32", (3,), optional=True),
    )
    assert model.signature.batch_axis
    x = np.ones((1, 3), np.float32)
    assert model.execute([x, None], ["y"])[0].tolist() == [[1, 2, 3]]
    assert model.execute([x, np.zeros(3, np.float32)], ["y"])[0].tolist() == [[0, 0, 0]]


def test_model_without_inputs(load_graph: Callable[..., Any]) -> None:
    value = numpy_helper.from_array(np.arange(3, dtype=np.float32))
    model = load_graph([("Constant", [], ["y"], {"value": value})], [], [("y", "FLOAT", [3])])
    assert not model.signature.batch_axis
    assert model.execute([], ["y"])[0].tolist() == [0, 1, 2]


ROWS_AXIS: dict[str, tuple[list[Any], dict[str, Any], bool]] = {
    "each row": ([("Neg", ["x"], ["y"])], {}, True),
    "each row alone": (
        [("Neg", ["x"], ["y"])],
        {"batch_axis": False},
        True,
    ),
    "the batch's mean": ([("ReduceMean", ["x"], ["y"], {"keepdims": 0})], {}, False),
    "two rows for each": ([("Concat", ["x", "x"], ["y"], {"axis": 0})], {}, False),
    "one row more": ([("Concat", ["x", "one"], ["y"], {"axis": 0})], {}, False),
    "turned": ([("Transpose", ["x"], ["y"], {"perm": [1, 0]})], {}, False),
    "the first row": ([("Gather", ["x", "first"], ["y"], {"axis": 0})], {}, False),
}


@pytest.mark.parametrize("name", ROWS_AXIS)
def test_axis_0_is_rows_where_each_number_of_rows_gives_as_many(
    load_graph: Callable[..., OnnxModel], name: str
) -> None:
    nodes, settings, rows = ROWS_AXIS[name]
    used = {given for node in nodes for given in node[1]}
    constants = {"one": np.ones((1, 4), np.float32), "first": np.array([0])}
    model = load_graph(
        nodes,
        [("x", "FLOAT", ["n", 4])],
        [("y", "FLOAT", None)],
        initializers=[numpy_helper.from_array(v, k) for k, v in constants.items() if k in used],
        settings=settings,
    )
    signature = model.signature
    assert signature.rows_axis == rows
    assert signature.batch_axis == (rows and not settings)


def test_rows_that_couple_are_rows_whatever_the_file_declares(
    load_graph: Callable[..., OnnxModel],
) -> None:
    nodes = [
        ("Softmax", ["x"], ["s"], {"axis": 0}),
        ("ArgMax", ["s"], ["label"], {"axis": 1, "keepdims": 0}),
    ]
    outputs = [("label", "INT64", [1])]
    model = load_graph(nodes, [("x", "FLOAT", ["n", 4])], outputs)
    assert (model.signature.batch_axis, model.signature.rows_axis) == (False, True)
    assert model.signature.outputs[0].shape == (-1,)
    assert "is declared [1]" in model.signature.remarks[0]


PICKED = [
    ("Sub", ["x", "hundred"], ["d"]),
    ("Cast", ["d"], ["index"], {"to": TensorProto.INT64}),
    ("Gather", ["table", "index"], ["v"]),  # made-up numbers are far outside of the table
]
PICK_CONSTANTS = {
    "hundred": np.array(100, np.float32),
    "table": np.arange(8, dtype=np.float32),
    "four": np.array(4, np.float32),
    "axes0": np.array([0]),
    "axes1": np.array([1]),
}
FILTERED = [
    *PICKED,
    ("ReduceMax", ["v", "axes1"], ["m"], {"keepdims": 0}),
    ("Less", ["m", "four"], ["keep"]),
    ("Compress", ["v", "keep"], ["y"], {"axis": 0}),
]
CENTRED = [*PICKED, ("ReduceMax", ["v", "axes0"], ["m"]), ("Sub", ["v", "m"], ["y"])]


@pytest.mark.parametrize(
    ("nodes", "declared", "hinted", "rows"),
    [(FILTERED, ["n", 2], True, False), (CENTRED, [1, 2], False, True)],
)
def test_golden_requests_show_what_axis_0_is_where_made_up_ones_are_refused(
    graph_file: Callable[..., Any],
    nodes: list[Any],
    declared: list[Any],
    hinted: bool,
    rows: bool,
) -> None:
    used = {given for node in nodes for given in node[1]}
    constants = [numpy_helper.from_array(v, k) for k, v in PICK_CONSTANTS.items() if k in used]
    path = graph_file(
        nodes, [("x", "FLOAT", ["n", 2])], [("y", "FLOAT", declared)], initializers=constants
    )
    golden = np.array([[101, 102], [105, 103]], np.float32)
    blind = OnnxRuntime().load(path, LoadOptions())
    assert blind.signature.rows_axis == hinted
    model = OnnxRuntime().load(path, LoadOptions(examples=lambda _: [[golden]]))
    assert model.signature.rows_axis == rows
    assert not model.signature.batch_axis
