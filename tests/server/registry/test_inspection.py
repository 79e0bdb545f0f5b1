"""Hostile versions are refused for the right reason, and honest ones are not."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.onnx import OnnxRuntime
from penstock.server.files.refusal import ModelRefused
from penstock.server.onnx_file.inspection import InspectionLimits, inlined_nodes, inspect_version
from penstock.server.onnx_file.onnx_summary import Operator, SummaryLimits

EXAMPLES = Path(__file__).parents[3] / "examples" / "registry"
OPENED: list[tuple[str, int]] = []
WATCHING = False


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if WATCHING and event == "open":
        OPENED.append((os.fsdecode(arguments[0]), int(arguments[2])))
    elif WATCHING and event.partition(".")[0] in {"subprocess", "socket", "ctypes", "shutil"}:
        OPENED.append((event, os.O_RDWR))


@pytest.fixture(scope="module", autouse=True)
def hook():
    sys.addaudithook(watch)  # cannot be taken away again; the flag silences it


def opened_during(call):
    global WATCHING  # noqa: PLW0603  an audit hook takes no other argument
    OPENED.clear()
    WATCHING = True
    try:
        return call()
    finally:
        WATCHING = False


def test_a_hostile_version_is_refused_with_the_reason(version, tmp_path, corpus, hostile_case):
    reason, build = corpus[hostile_case]
    outside = tmp_path / "registry" / "m" / "outside"
    outside.mkdir()
    build(version, outside)
    listing = sorted(tmp_path.rglob("*"))
    with pytest.raises(ModelRefused, match=reason):
        opened_during(lambda: inspect_version(version))
    assert sorted(tmp_path.rglob("*")) == listing
    for path, flags in OPENED:
        # From the version directory on, one plain name at a time and never through a link:
        # whatever was opened is below it. And nothing was opened for writing.
        assert path == str(version) or ("/" not in path and path not in {"", ".", ".."}), path
        assert path == str(version) or flags & os.O_NOFOLLOW, path
        assert not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC), path


def test_the_corpus_is_large(corpus):
    assert len(corpus) >= 60


@pytest.mark.parametrize("name", ["breast-cancer/1", "breast-cancer/2", "digits/1"])
def test_the_examples_are_fine(name):
    found = inspect_version(EXAMPLES / name)
    assert found.model_file == "model.onnx"
    assert "estimator" in found.summary.metadata


def test_external_data_inside_is_fine(version, onnx_model, external):
    (version / "a").mkdir()
    (version / "a" / "w.bin").write_bytes(b"\x80\x04" + bytes(30))  # begins like a pickle
    model = onnx_model(initializers=[external("a/w.bin", offset="16", length="16")])
    (version / "model.onnx").write_bytes(model.SerializeToString())
    assert inspect_version(version).summary.tensor_bytes == 16


def test_a_model_in_a_directory_of_its_name_is_fine(version, onnx_model, external):
    (version / "model.onnx").mkdir()
    (version / "model.onnx" / "w.bin").write_bytes(bytes(16))
    model = onnx_model(initializers=[external("w.bin")])
    (version / "model.onnx" / "model.onnx").write_bytes(model.SerializeToString())
    assert inspect_version(version).model_file == "model.onnx/model.onnx"


def test_functions_embedded_contexts_and_sparse_tensors_are_fine(version, onnx_model):
    imports = [helper.make_opsetid("", 17)]
    body = [helper.make_node("Relu", ["a"], ["b"])]
    function = helper.make_function("mine", "F", ["a"], ["b"], body, imports)
    nodes = [
        helper.make_node("F", ["x"], ["t"], domain="mine"),
        helper.make_node(
            "EPContext", ["t"], ["y"], domain="com.microsoft", ep_cache_context=b"\xff\x00../x"
        ),
    ]
    import onnx

    sparse = onnx.SparseTensorProto(
        values=numpy_helper.from_array(np.ones(1, np.float32), "s"),
        indices=numpy_helper.from_array(np.zeros(1, np.int64), "i"),
        dims=[100],
    )
    model = onnx_model(
        nodes, functions=[function], domains={"mine": 1, "com.microsoft": 1}, sparse=[sparse]
    )
    (version / "model.onnx").write_bytes(model.SerializeToString())
    found = inspect_version(version)
    assert found.summary.nodes == 4  # the function counts as one, too
    assert found.summary.tensor_bytes == 16 + 4 + 8 + 400


@pytest.mark.parametrize(
    "kind", ["<f4", "<f8", "<f2", "i1", "u1", "<i8", "?", "<c8", "<c16", "<u4"]
)
@pytest.mark.parametrize("raw", [True, False])
def test_every_way_to_keep_a_tensor_is_fine(version, onnx_model, kind, raw):
    array = np.ones((3, 5), kind)
    tensor = numpy_helper.from_array(array, "w")
    if not raw:
        values = array.astype(np.float32) if kind == "<f2" else array
        tensor = helper.make_tensor("w", tensor.data_type, array.shape, values.flatten())
    model = onnx_model(initializers=[tensor])
    (version / "model.onnx").write_bytes(model.SerializeToString())
    assert inspect_version(version).summary.tensor_bytes == array.nbytes


def test_strings_and_packed_four_bit_tensors_are_fine(version, onnx_model):
    text = helper.make_tensor("s", 8, [3], [b"a", b"", b"b" * 100])
    nibbles = helper.make_tensor("w", 22, [5], b"\x11\x11\x01", raw=True)
    (version / "model.onnx").write_bytes(
        onnx_model(initializers=[text, nibbles]).SerializeToString()
    )
    assert inspect_version(version).summary.tensor_bytes == 3 * 32 + 3


def test_every_reason_is_told_at_once(version, onnx_model, external):
    model = onnx_model(
        [helper.make_node("Shell", ["x"], ["y"], domain="evil")],
        [external("../a"), external("../b")],
        domains={"evil": 1},
    )
    (version / "model.onnx").write_bytes(model.SerializeToString())
    (version / "x.pkl").write_bytes(b"")
    with pytest.raises(ModelRefused) as caught:
        inspect_version(version)
    assert len(caught.value.reasons) == 4


def test_limits_are_the_callers(version, onnx_model):
    (version / "model.onnx").write_bytes(onnx_model().SerializeToString())
    limits = InspectionLimits(max_bytes=16)
    inspect_version(version, limits)
    with pytest.raises(ModelRefused, match="at most 15"):
        inspect_version(version, replace(limits, max_bytes=15))
    with pytest.raises(ModelRefused, match="more than 0 nodes"):
        inspect_version(version, InspectionLimits(summary=SummaryLimits(max_nodes=0)))
    with pytest.raises(ModelRefused, match="more fields"):
        inspect_version(version, InspectionLimits(summary=SummaryLimits(max_fields=3)))


def test_a_file_that_shrinks_meanwhile_is_an_error(version, onnx_model):
    """And not the end of the process, as with a memory map."""
    from penstock.server.onnx_file.summary_reader import read_summary

    content = onnx_model().SerializeToString()
    (version / "model.onnx").write_bytes(content[:40])
    with (version / "model.onnx").open("rb") as file, pytest.raises(ModelRefused, match="cut"):
        read_summary(file.fileno(), len(content))


def test_millions_of_tree_values_take_no_time(version, onnx_model):
    names = ["BRANCH_LEQ", "LEAF"] * 100_000
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        nodes_values=[0.5] * 200_000,
        nodes_nodeids=list(range(200_000)),
        nodes_modes=names,
    )
    model = onnx_model([node], domains={"ai.onnx.ml": 3})
    (version / "model.onnx").write_bytes(model.SerializeToString())
    before = time.process_time()
    inspect_version(version, InspectionLimits(summary=SummaryLimits(max_fields=20_000)))
    assert time.process_time() - before < 1


def test_inlined_nodes_are_counted_like_functions_are_inlined():
    from collections import Counter

    relu, double, quad = Operator("", "Relu"), Operator("f", "D"), Operator("f", "Q")
    functions = {quad: Counter({double: 2}), double: Counter({relu: 2})}
    assert inlined_nodes(Counter({quad: 3, relu: 1}), functions) == 13


@pytest.mark.parametrize(
    ("operator", "domain", "imported"),
    [
        ("Scaler", "ai.onnx.ml", {"": 17}),
        ("QuickGelu", "com.microsoft", {"": 17}),
        ("Identity", "", {"ai.onnx.ml": 3}),
    ],
)
def test_operator_sets_that_onnxruntime_fills_in_need_no_import(
    version, onnx_model, operator, domain, imported
):
    extra = {"offset": [0.0], "scale": [1.0]} if operator == "Scaler" else {}
    node = helper.make_node(operator, ["x"], ["y"], domain=domain, **extra)
    model = onnx_model([node])
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*one) for one in imported.items())
    (version / "model.onnx").write_bytes(model.SerializeToString())
    assert inspect_version(version).summary.opsets == imported
    loaded = OnnxRuntime().load(version / "model.onnx", LoadOptions())
    assert loaded.signature.batching == "proven by the graph"
