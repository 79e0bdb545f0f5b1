"""Callers in a batch get what each gets alone; models whose rows stay apart are batched."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from penstock.batching.options import BatchingOptions
from penstock.batching.request import InferenceRequest
from penstock.batching.scheduler import Scheduler
from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.onnx import OnnxRuntime
from penstock.runtimes.onnx_batching import graph_proof
from penstock.runtimes.row_probe import probe
from penstock.runtimes.row_proof.read_graph import read_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from penstock.runtimes.onnx_model import OnnxModel

Node = tuple[Any, ...]
X = [("x", "FLOAT", ["n", 4])]
CONSTANTS = {
    "zero": np.array(0),
    "first": np.array([0]),
    "axes0": np.array([0]),
    "axes1": np.array([1]),
    "k": np.array([1]),
    "minus": np.array(-1000, np.float32),
    "big": np.array(2**40),
    "four": np.array(5),
    "nil": np.array(0, np.float32),
    "row": np.array([0], np.int64),
    "scale4": np.ones(4, np.float32),
    "mean4": np.zeros(4, np.float32),
    "variance4": np.ones(4, np.float32),
    "none4": np.zeros(4, np.float32),
}


def _graph(name: str, nodes: Sequence[Node], outputs: Sequence[str], kind: str) -> Any:
    return helper.make_graph(
        [helper.make_node(op, given, made, **dict(*rest)) for op, given, made, *rest in nodes],
        name,
        [],
        [helper.make_tensor_value_info(one, getattr(TensorProto, kind), None) for one in outputs],
    )


#: ``x`` less the mean of the batch; what other nodes do with it is in each model.
MEAN: list[Node] = [("ReduceMean", ["x", "axes0"], ["mean"], {"keepdims": 1})]

COUPLED: dict[str, list[Node]] = {
    "sorted": [
        ("Shape", ["x"], ["shape"]),
        ("Gather", ["shape", "first"], ["count"]),
        ("TopK", ["x", "count"], ["y", "places"], {"axis": 0}),
    ],
    "filtered and filled again": [
        ("ReduceMax", ["x", "axes1"], ["m"], {"keepdims": 0}),
        ("Greater", ["m", "nil"], ["keep"]),
        ("Compress", ["x", "keep"], ["kept"], {"axis": 0}),
        ("ReduceSum", ["kept", "axes0"], ["sum"], {"keepdims": 1}),
        ("Add", ["x", "sum"], ["y"]),
    ],
    "sum of the batch": [
        ("ReduceSum", ["x", "axes0"], ["sum"], {"keepdims": 1}),
        ("Sub", ["x", "sum"], ["y"]),
    ],
    "normalised": [*MEAN, ("Sub", ["x", "mean"], ["y"])],
    "softmax": [("Softmax", ["x"], ["y"], {"axis": 0})],
    "branch": [
        ("ReduceMin", ["x"], ["least"], {"keepdims": 0}),
        ("Less", ["least", "minus"], ["odd"]),
        (
            "If",
            ["odd"],
            ["y"],
            {
                "then_branch": _graph("a", [("Neg", ["x"], ["a"])], ["a"], "FLOAT"),
                "else_branch": _graph("b", [("Identity", ["x"], ["b"])], ["b"], "FLOAT"),
            },
        ),
    ],
    "dynamic quantisation": [
        ("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        ("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ],
    "cumulative sum": [("CumSum", ["x", "zero"], ["y"])],
    "largest of the batch": [
        ("ReduceMax", ["x", "axes0"], ["m"], {"keepdims": 1}),
        ("Max", ["x", "m"], ["y"]),
    ],
    "row 0": [("Gather", ["x", "first"], ["r"], {"axis": 0}), ("Mul", ["x", "r"], ["y"])],
    "unique": [
        ("Unique", ["x"], ["u"], {"sorted": 1}),
        ("ReduceMax", ["u"], ["m"], {"keepdims": 1}),
        ("Sub", ["x", "m"], ["y"]),
    ],
    "clipped if one is below -1000": [
        *MEAN,
        ("ReduceMin", ["x"], ["least"], {"keepdims": 0}),
        ("Less", ["least", "minus"], ["odd"]),
        ("Max", ["x", "mean"], ["clipped"]),
        ("Where", ["odd", "clipped", "x"], ["y"]),
    ],
    "only from five rows": [
        ("Shape", ["x"], ["shape"]),
        ("Gather", ["shape", "zero"], ["count"], {"axis": 0}),
        ("Less", ["count", "four"], ["few"]),
        *MEAN,
        ("Sub", ["x", "mean"], ["centred"]),
        ("Where", ["few", "x", "centred"], ["y"]),
    ],
    "only through NaN": [
        ("ReduceSum", ["x", "axes0"], ["sum"], {"keepdims": 1}),
        ("Mul", ["sum", "nil"], ["nothing"]),
        ("Add", ["x", "nothing"], ["y"]),
    ],
    "training mode": [
        (
            "BatchNormalization",
            ["x", "scale4", "none4", "mean4", "variance4"],
            ["y", "m", "v"],
            {"training_mode": 1},
        )
    ],
    "rows against rows": [
        ("Transpose", ["x"], ["t"], {"perm": [1, 0]}),
        ("MatMul", ["x", "t"], ["gram"]),
        ("Softmax", ["gram"], ["weights"], {"axis": -1}),
        ("MatMul", ["weights", "x"], ["y"]),
    ],
    "mean over rows and columns": [
        ("MeanVarianceNormalization", ["x"], ["y"], {"axes": [0, 1]}),
    ],
    "flattened": [
        ("Reshape", ["x", "flat"], ["line"]),
        ("Softmax", ["line"], ["s"], {"axis": 1}),
        ("Reshape", ["s", "back"], ["y"]),
    ],
}
CONSTANTS |= {"flat": np.array([1, -1]), "back": np.array([-1, 4])}

REQUESTS = [
    [[1, 2, 3, 4]],
    [[-1, -2, -3, -4]],
    [[0.5, 0, 0, 0], [3, 1, 4, 1]],
    [[-9999, 1, 1, 1]],
    [[np.nan, 0, 0, 0]],
    [[7, 7, 7, 7]],
    [[1e6, -1e6, 0, 1]],
    [[0, 0, 0, 0]],
]


def constants(nodes: Sequence[Node]) -> list[onnx.TensorProto]:
    used = {name for node in nodes for name in node[1]}
    return [numpy_helper.from_array(v, k) for k, v in CONSTANTS.items() if k in used]


def in_batch(model: OnnxModel, requests: Sequence[list[Any]]) -> tuple[list[Any], int]:
    """Answers to requests that come in one tick, and the most requests that shared a run."""

    async def main() -> tuple[list[Any], int]:
        loop = asyncio.get_running_loop()
        scheduler = Scheduler(loop, threads=2)
        answers: dict[int, Any] = {}
        shared = [0]
        done = asyncio.Event()

        def sink(batch: Any) -> None:
            shared.append(len(batch.requests))
            for i, request in enumerate(batch.requests):
                rows = slice(batch.offsets[i], batch.offsets[i + 1])
                whole = not model.signature.batch_axis
                answers[request.context] = batch.error or [
                    one if whole else one[rows] for one in batch.outputs
                ]
            if len(answers) == len(requests):
                done.set()

        names = tuple(spec.name for spec in model.signature.outputs)
        queue = scheduler.register("m", "1", model, BatchingOptions(), sink, None)
        for number, inputs in enumerate(requests):
            rows = len(inputs[0]) if model.signature.batch_axis else 1
            request = InferenceRequest(
                inputs, rows, names, time.perf_counter(), key=None, context=number
            )
            scheduler.submit(queue, request)
        await asyncio.wait_for(done.wait(), 20)
        await scheduler.close()
        return [answers[i] for i in range(len(requests))], max(shared)

    return asyncio.run(main())


def assert_as_alone(model: OnnxModel, requests: Sequence[list[Any]]) -> int:
    names = [spec.name for spec in model.signature.outputs]
    answers, shared = in_batch(model, requests)
    for inputs, answer in zip(requests, answers, strict=True):
        for given, right in zip(answer, model.execute(inputs, names), strict=True):
            if right.dtype.kind == "f":
                np.testing.assert_allclose(given, right, rtol=1e-5, atol=1e-6)
            else:
                assert given.tolist() == right.tolist()
    return shared


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", COUPLED)
def test_each_caller_of_a_model_that_couples_rows_gets_what_it_gets_alone(
    load_graph: Callable[..., OnnxModel], name: str
) -> None:
    nodes = COUPLED[name]
    model = load_graph(nodes, X, [("y", "FLOAT", ["n", 4])], initializers=constants(nodes))
    assert not model.signature.batch_axis
    assert model.signature.batching
    assert model.signature.rows_axis
    assert model.signature.outputs[0].shape == (-1, 4)
    requests = [[np.array(rows, np.float32)] for rows in REQUESTS]
    if name == "training mode":  # it changes its own weights, so there is no answer alone
        assert in_batch(model, requests)[1] == 1
    else:
        assert assert_as_alone(model, requests * 4) == 1


def _body(nodes: Sequence[Node], given: Sequence[Any], made: Sequence[Any]) -> Any:
    return helper.make_graph(
        [helper.make_node(op, ins, outs, **dict(*rest)) for op, ins, outs, *rest in nodes],
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in given],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in made],
        initializer=[numpy_helper.from_array(np.array(777, np.float32), "trigger")],
    )


#: Rows meet if one of them holds 777, which no probe tries.
HIDDEN: dict[str, list[Node]] = {
    "in a scan": [
        (
            "Scan",
            ["none4", "x"],
            ["last", "y"],
            {
                "num_scan_inputs": 1,
                "body": _body(
                    [
                        ("Max", ["c", "row"], ["next"]),
                        ("Equal", ["row", "trigger"], ["odd"]),
                        ("Where", ["odd", "next", "row"], ["made"]),
                    ],
                    [("c", [4]), ("row", [4])],
                    [("next", [4]), ("made", [4])],
                ),
            },
        )
    ],
    "behind operators that are not known": [
        ("SplitToSequence", ["x"], ["parts"], {"axis": 0}),
        ("ConcatFromSequence", ["parts"], ["again"], {"axis": 0}),
        ("ReduceMax", ["again"], ["m"], {"keepdims": 0}),
        ("Equal", ["m", "trigger"], ["odd"]),
        ("Neg", ["x"], ["minus_x"]),
        ("Where", ["odd", "minus_x", "x"], ["y"]),
    ],
    "by the places that it writes to": [
        ("ReduceMax", ["x", "axes1"], ["m"], {"keepdims": 1}),
        ("Equal", ["m", "trigger"], ["odd"]),
        ("Where", ["odd", "first", "far"], ["places"]),
        ("ScatterND", ["longer", "places", "x"], ["written"]),
        ("Slice", ["written", "first", "axes1", "first"], ["top"]),
        ("Add", ["x", "top"], ["y"]),
    ],
    "for some number of rows": [
        ("Shape", ["x"], ["shape"]),
        ("Gather", ["shape", "zero"], ["count"], {"axis": 0}),
        ("Equal", ["count", "seven"], ["odd"]),
        ("Neg", ["x"], ["minus_x"]),
        ("Where", ["odd", "minus_x", "x"], ["y"]),
    ],
}
CONSTANTS |= {
    "trigger": np.array(777, np.float32),
    "seven": np.array(7),
    "far": np.array([9]),
    "longer": np.zeros((10, 4), np.float32),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_lets_rows_meet_for_some_values_only_is_not_left_to_the_probe(
    load_graph: Callable[..., OnnxModel], name: str
) -> None:
    nodes = HIDDEN[name]
    model = load_graph(nodes, X, [("y", "FLOAT", ["n", 4])], initializers=constants(nodes))
    assert not model.signature.batch_axis
    assert "influence each other" in model.signature.batching
    requests = [[np.full((1, 4), value, np.float32)] for value in (1, 777, 3, -5, 9, 2, 8)]
    assert assert_as_alone(model, requests * 2) == 1


def test_a_big_whole_number_that_reaches_other_rows_is_seen(
    load_graph: Callable[..., OnnxModel],
) -> None:
    nodes: list[Node] = [
        ("ReduceMax", ["x"], ["m"], {"keepdims": 0}),
        ("GreaterOrEqual", ["m", "big"], ["odd"]),
        ("Neg", ["x"], ["minus_x"]),
        ("Where", ["odd", "minus_x", "x"], ["y"]),
    ]
    model = load_graph(
        nodes,
        [("x", "INT64", ["n", 4])],
        [("y", "INT64", ["n", 4])],
        initializers=constants(nodes),
    )
    assert not model.signature.batch_axis
    requests = [[np.full((1, 4), value)] for value in (1, 2**41, 3, -5)]
    assert assert_as_alone(model, requests * 4) == 1


@pytest.mark.parametrize("name", COUPLED)
def test_the_probe_alone_sees_what_the_graph_proves(
    load_graph: Callable[..., OnnxModel], name: str
) -> None:
    nodes = COUPLED[name]
    model = load_graph(
        nodes,
        X,
        [("y", "FLOAT", ["n", 4])],
        initializers=constants(nodes),
        settings={"batch_axis": True},
    )
    assert model.signature.batching == "declared by batch_axis = true"
    assert not probe(model).apart


def test_a_probe_that_takes_too_long_is_not_believed(
    load_graph: Callable[..., OnnxModel],
) -> None:
    model = load_graph([("Neg", ["x"], ["y"])], X, [("y", "FLOAT", ["n", 4])])
    now = iter(range(1000))
    result = probe(model, clock=lambda: float(next(now)), seconds=30)
    assert not result.apart
    assert "too long" in result.reason
    assert probe(model).apart


CALM = [[[1, 2, 3, 4]], [[-1, -2, -3, -4]], [[0.5, 0, 0, 0], [3, 1, 4, 1]], [[7, 7, 7, 7]]]


def weights(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


#: Nodes, constants, the shape of the input behind its rows.
APART: dict[str, tuple[list[Node], dict[str, Any], tuple[int, ...]]] = {
    "layers": (
        [
            ("Gemm", ["x", "w", "b"], ["h"], {"transB": 1}),
            ("Relu", ["h"], ["r"]),
            ("MatMul", ["r", "v"], ["o"]),
            ("Softmax", ["o"], ["y"], {"axis": -1}),
        ],
        {"w": weights(8, 4), "b": weights(8), "v": weights(8, 3)},
        (4,),
    ),
    "pictures": (
        [
            ("Conv", ["x", "w"], ["c"], {"pads": [1, 1, 1, 1]}),
            ("BatchNormalization", ["c", "s", "s", "s", "s"], ["n"]),
            ("MaxPool", ["n"], ["p"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
            ("GlobalAveragePool", ["p"], ["g"]),
            ("Flatten", ["g"], ["f"], {"axis": 1}),
            ("Gemm", ["f", "v"], ["y"]),
        ],
        {"w": weights(5, 3, 3, 3), "s": np.abs(weights(5)), "v": weights(5, 2)},
        (3, 8, 8),
    ),
    "attention": (
        [
            ("MatMul", ["x", "w"], ["q"]),
            ("Shape", ["x"], ["shape"]),
            ("Gather", ["shape", "zero"], ["rows"], {"axis": 0}),
            ("Unsqueeze", ["rows", "axes0"], ["rows1"]),
            ("Concat", ["rows1", "heads"], ["split"], {"axis": 0}),
            ("Reshape", ["q", "split"], ["h"]),
            ("Transpose", ["h"], ["qt"], {"perm": [0, 2, 1, 3]}),
            ("Transpose", ["h"], ["kt"], {"perm": [0, 2, 3, 1]}),
            ("MatMul", ["qt", "kt"], ["scores"]),
            ("Softmax", ["scores"], ["a"], {"axis": -1}),
            ("MatMul", ["a", "qt"], ["c"]),
            ("Transpose", ["c"], ["ct"], {"perm": [0, 2, 1, 3]}),
            ("Reshape", ["ct", "joined"], ["j"]),
            ("Add", ["j", "x"], ["sum"]),
            ("LayerNormalization", ["sum", "s", "s"], ["y"], {"axis": -1}),
        ],
        {
            "w": weights(6, 6),
            "zero": np.array(0),
            "axes0": np.array([0]),
            "heads": np.array([-1, 2, 3]),
            "joined": np.array([0, -1, 6]),
            "s": weights(6),
        },
        (5, 6),
    ),
}


@pytest.mark.parametrize("name", APART)
def test_usual_networks_are_proven_by_their_graph_and_batched(
    load_graph: Callable[..., OnnxModel], name: str
) -> None:
    nodes, values, shape = APART[name]
    model = load_graph(
        nodes,
        [("x", "FLOAT", ["n", *shape])],
        [("y", "FLOAT", None)],
        initializers=[numpy_helper.from_array(v, k) for k, v in values.items()],
    )
    assert model.signature.batching == "proven by the graph"
    generator = np.random.default_rng(1)
    requests = [[generator.normal(size=(n, *shape)).astype(np.float32)] for n in (1, 2, 1, 3, 1)]
    assert assert_as_alone(model, requests) > 1
    assert probe(model).apart


def test_a_recurrent_network_is_proven_by_its_graph(load_graph: Callable[..., OnnxModel]) -> None:
    values = {"w": weights(1, 8, 3), "r": weights(1, 8, 2), "axes0": np.array([0])}
    model = load_graph(
        [
            ("Transpose", ["x"], ["t"], {"perm": [1, 0, 2]}),
            ("LSTM", ["t", "w", "r"], ["", "last"], {"hidden_size": 2}),
            ("Squeeze", ["last", "axes0"], ["y"]),
        ],
        [("x", "FLOAT", ["n", 5, 3])],
        [("y", "FLOAT", ["n", 2])],
        initializers=[numpy_helper.from_array(v, k) for k, v in values.items()],
    )
    assert model.signature.batching == "proven by the graph"


def test_an_embedding_of_texts_ids_is_proven_by_its_graph(
    load_graph: Callable[..., OnnxModel],
) -> None:
    values = {"table": weights(10, 3), "axes1": np.array([1])}
    model = load_graph(
        [
            ("Gather", ["table", "ids"], ["e"], {"axis": 0}),
            ("ReduceMean", ["e", "axes1"], ["y"], {"keepdims": 0}),
        ],
        [("ids", "INT64", ["n", "time"])],
        [("y", "FLOAT", ["n", 3])],
        initializers=[numpy_helper.from_array(v, k) for k, v in values.items()],
    )
    assert model.signature.batching == "proven by the graph"


@pytest.fixture(scope="module")
def rows_of_numbers() -> Any:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(120, 4)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] > 0).astype(int)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("kind", ["forest", "boosting", "linear", "network", "neighbours", "svm"])
def test_estimators_of_scikit_learn_are_batched(
    tmp_path: Path, rows_of_numbers: Any, kind: str, *, zipmap: bool
) -> None:
    pytest.importorskip("skl2onnx")
    from skl2onnx import to_onnx
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    estimator = {
        "forest": RandomForestClassifier(5, random_state=0),
        "boosting": GradientBoostingClassifier(n_estimators=5, random_state=0),
        "linear": LogisticRegression(),
        "network": MLPClassifier((8,), max_iter=20, random_state=0),
        "neighbours": KNeighborsClassifier(3),
        "svm": SVC(random_state=0),
    }[kind]
    x, y = rows_of_numbers
    pipeline = make_pipeline(StandardScaler(), estimator).fit(x, y)
    exported = to_onnx(pipeline, x[:1], options={"zipmap": zipmap}, target_opset=18)
    path = tmp_path / "model.onnx"
    path.write_bytes(exported.SerializeToString())
    model = OnnxRuntime().load(path, LoadOptions())
    assert model.signature.batch_axis, model.signature.batching
    if kind in {"forest", "boosting", "linear", "network"}:
        assert model.signature.batching == "proven by the graph"
    assert assert_as_alone(model, [[x[i : i + 1 + i % 3]] for i in range(30)]) > 1


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 2)])
def test_a_model_of_texts_is_proven_by_its_graph(tmp_path: Path, ngrams: tuple[int, int]) -> None:
    pytest.importorskip("skl2onnx")
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import StringTensorType
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    texts = ["one fish", "two fish", "red fish", "a short text", "yes no", "blue red", "no"] * 4
    labels = [int("red" in text) for text in texts]
    vectorizer = TfidfVectorizer(lowercase=False, ngram_range=ngrams)
    pipeline = make_pipeline(vectorizer, LogisticRegression()).fit(texts, labels)
    exported = to_onnx(
        pipeline, initial_types=[("x", StringTensorType([None, 1]))], target_opset=18
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(exported.SerializeToString())
    model = OnnxRuntime().load(path, LoadOptions())
    assert model.signature.batching == "proven by the graph"
    odd = ["", "#", "# red # fish", "red " * 30, "one two red blue fish no yes", "nothing known"]
    requests = [[np.array([[text.encode()]], np.object_)] for text in (*texts, *odd)]
    assert assert_as_alone(model, requests) > 1


@pytest.mark.parametrize("declared", [[1], ["n"], None], ids=str)
def test_the_graph_does_not_believe_declared_outputs(
    load_graph: Callable[..., OnnxModel], declared: Any
) -> None:
    model = load_graph(
        [("ArgMax", ["x"], ["y"], {"axis": 1, "keepdims": 0})], X, [("y", "INT64", declared)]
    )
    assert model.signature.batch_axis
    assert model.signature.outputs[0].shape == (-1,)
    assert assert_as_alone(model, [[np.array(rows, np.float32)] for rows in CALM]) > 1
    assert bool(model.signature.remarks) is (declared == [1])


def test_external_reading_of_the_example_models(tmp_path: Path) -> None:
    from pathlib import Path as AnyPath

    for path in sorted(AnyPath("examples/registry").glob("*/*/model.onnx")):
        model = OnnxRuntime().load(path, LoadOptions())
        assert model.signature.batching == "proven by the graph", path
        assert graph_proof(read_graph(path), model.signature).proven
