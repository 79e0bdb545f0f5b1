"""Small ONNX models, and the corpus of hostile versions."""

from __future__ import annotations

import os
import pickle
import socket
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

#: Builds a version in a directory; `outside` is a directory that it must not reach.
Build = Callable[[Path, Path], None]


def model_of(
    nodes: list[Any] | None = None,
    initializers: list[Any] | None = None,
    *,
    functions: list[Any] | None = None,
    domains: dict[str, int] | None = None,
    sparse: list[Any] | None = None,
) -> Any:
    nodes = nodes or [helper.make_node("Add", ["x", "w"], ["y"])]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])
    if initializers is None:
        initializers = [numpy_helper.from_array(np.ones(4, np.float32), "w")]
    graph = helper.make_graph(
        nodes, "g", [value], [result], initializers, sparse_initializer=sparse or []
    )
    imports = [helper.make_opsetid(*one) for one in {"": 17, **(domains or {})}.items()]
    return helper.make_model(graph, opset_imports=imports, functions=functions or [], ir_version=9)


def outside_tensor(location: str, *, shape: tuple[int, ...] = (4,), **entries: str) -> Any:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def save(directory: Path, model: Any) -> None:
    (directory / "model.onnx").write_bytes(model.SerializeToString())


def weights(path: Path, count: int = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.ones(count, np.float32).tobytes())
    return path


def branch(depth: int, inner: Any) -> Any:
    """A node whose branches nest so deep around another."""
    node = inner
    for level in range(depth):
        name = f"y{level}"
        result = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None)
        graph = helper.make_graph([node], f"b{level}", [], [result])
        node = helper.make_node("If", ["c"], [name], then_branch=graph, else_branch=graph)
    return node


CORPUS: dict[str, tuple[str, Build]] = {}


def hostile(reason: str) -> Callable[[Build], Build]:
    """Add a builder to the corpus, with words that the refusal must have."""

    def add(build: Build) -> Build:
        CORPUS[build.__name__] = (reason, build)
        return build

    return add


def elsewhere(name: str, reason: str, location: str, **entries: str) -> None:
    def build(directory: Path, outside: Path) -> None:
        weights(outside / "secret")
        weights(directory / "w.bin")
        place = location.format(outside=outside)
        save(directory, model_of(initializers=[outside_tensor(place, **entries)]))

    build.__name__ = name
    hostile(reason)(build)


elsewhere("data_above", "leads upwards", "../outside/secret")
elsewhere("data_absolute", "is absolute", "{outside}/secret")
elsewhere("data_up_from_a_folder", "leads upwards", "a/../../outside/secret")
elsewhere("data_with_backslashes", "characters", "..\\outside\\secret")
elsewhere("data_with_a_nul", "characters", "w.bin\0.txt")
elsewhere("data_nowhere", "w.bin2 is missing", "w.bin2")
elsewhere("data_without_a_place", "is empty", "")
elsewhere("data_in_dots", "plain form", "./w.bin")
elsewhere("data_with_a_base_path", "base path", "w.bin", basepath="/etc")
elsewhere("data_with_odd_keys", "unknown external data key", "w.bin", hook="os.system")
elsewhere("data_past_the_end", "its tensors end at", "w.bin", offset="8")
elsewhere("data_at_a_negative_offset", "expected a number", "w.bin", offset="-4")
elsewhere("data_at_a_huge_offset", "expected a number", "w.bin", offset="9" * 30)
elsewhere("data_of_another_length", "takes 16 bytes", "w.bin", length="8")


@hostile("keeps for itself")
def data_at_an_address(directory: Path, outside: Path) -> None:
    weights(directory / "*/_ORT_MEM_ADDR_/*")
    save(directory, model_of(initializers=[outside_tensor("*/_ORT_MEM_ADDR_/*", offset="4096")]))


@hostile("symbolic link")
def data_by_a_link(directory: Path, outside: Path) -> None:
    (directory / "w.bin").symlink_to(weights(outside / "secret"))
    save(directory, model_of(initializers=[outside_tensor("w.bin")]))


@hostile("symbolic link")
def data_by_a_linked_folder(directory: Path, outside: Path) -> None:
    weights(outside / "secret")
    (directory / "a").symlink_to(outside)
    save(directory, model_of(initializers=[outside_tensor("a/secret")]))


@hostile("hard link")
def data_by_a_hard_link(directory: Path, outside: Path) -> None:
    os.link(weights(outside / "secret"), directory / "w.bin")
    save(directory, model_of(initializers=[outside_tensor("w.bin")]))


@hostile("named pipe")
def data_from_a_pipe(directory: Path, outside: Path) -> None:
    os.mkfifo(directory / "w.bin")
    save(directory, model_of(initializers=[outside_tensor("w.bin")]))


@hostile("socket")
def data_from_a_socket(directory: Path, outside: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    os.chdir(directory)  # the whole path may be too long for an address
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("w.bin")
    os.chdir(here)
    os.close(here)
    save(directory, model_of(initializers=[outside_tensor("w.bin")]))


@hostile("is a directory")
def data_in_a_directory(directory: Path, outside: Path) -> None:
    weights(directory / "w" / "w.bin")
    save(directory, model_of(initializers=[outside_tensor("w")]))


@hostile("leads upwards")
def data_above_in_a_constant(directory: Path, outside: Path) -> None:
    node = helper.make_node("Constant", [], ["w"], value=outside_tensor("../secret"))
    save(directory, model_of([node, helper.make_node("Add", ["x", "w"], ["y"])], []))


@hostile("leads upwards")
def data_above_in_a_subgraph(directory: Path, outside: Path) -> None:
    node = helper.make_node("Constant", [], ["w"], value=outside_tensor("../secret"))
    save(directory, model_of([branch(3, node)]))


@hostile("leads upwards")
def data_above_in_a_function(directory: Path, outside: Path) -> None:
    node = helper.make_node("Constant", [], ["b"], value=outside_tensor("../secret"))
    function = helper.make_function("f", "F", ["a"], ["b"], [node], [helper.make_opsetid("", 17)])
    call = helper.make_node("F", ["x"], ["y"], domain="f")
    save(directory, model_of([call], functions=[function], domains={"f": 1}))


@hostile("leads upwards")
def data_above_in_a_sparse_tensor(directory: Path, outside: Path) -> None:
    indices = numpy_helper.from_array(np.arange(4), "i")
    sparse = onnx.SparseTensorProto(values=outside_tensor("../secret"), indices=indices, dims=[9])
    save(directory, model_of(sparse=[sparse]))


@hostile("leads upwards")
def data_above_in_the_training_part(directory: Path, outside: Path) -> None:
    model = model_of()
    model.training_info.add().initialization.initializer.append(outside_tensor("../secret"))
    save(directory, model)


@hostile("leads upwards")
def data_above_that_denies_it(directory: Path, outside: Path) -> None:
    tensor = outside_tensor("../secret")
    tensor.data_location = TensorProto.DEFAULT
    save(directory, model_of(initializers=[tensor]))


@hostile("says twice")
def data_in_two_places(directory: Path, outside: Path) -> None:
    tensor = outside_tensor("w.bin")
    tensor.external_data.add(key="location", value="../secret")
    weights(directory / "w.bin")
    save(directory, model_of(initializers=[tensor]))


@hostile("both inside and outside")
def data_inside_and_outside(directory: Path, outside: Path) -> None:
    tensor = outside_tensor("w.bin")
    tensor.raw_data = bytes(16)
    weights(directory / "w.bin")
    save(directory, model_of(initializers=[tensor]))


@hostile("leads upwards")
def compiled_context_above(directory: Path, outside: Path) -> None:
    node = helper.make_node(
        "EPContext",
        ["x"],
        ["y"],
        domain="com.microsoft",
        embed_mode=0,
        ep_cache_context="../outside/secret",
    )
    save(directory, model_of([node], domains={"com.microsoft": 1}))


@hostile("no value of its own")
def compiled_context_borrowed(directory: Path, outside: Path) -> None:
    node = helper.make_node(
        "EPContext", ["a"], ["b"], domain="com.microsoft", ep_cache_context="../secret"
    )
    mode = onnx.AttributeProto(name="embed_mode", ref_attr_name="m", type=onnx.AttributeProto.INT)
    node.attribute.append(mode)
    imports = [helper.make_opsetid("com.microsoft", 1)]
    function = helper.make_function("f", "F", ["a"], ["b"], [node], imports, ["m"])
    call = helper.make_node("F", ["x"], ["y"], domain="f", m=0)
    save(directory, model_of([call], functions=[function], domains={"f": 1}))


@hostile("attribute embed_mode twice")
def compiled_context_of_two_minds(directory: Path, outside: Path) -> None:
    node = helper.make_node(
        "EPContext", ["x"], ["y"], domain="com.microsoft", embed_mode=0, ep_cache_context="../s"
    )
    node.attribute.append(helper.make_attribute("embed_mode", 1))
    save(directory, model_of([node], domains={"com.microsoft": 1}))


@hostile("custom operator Shell")
def custom_operator(directory: Path, outside: Path) -> None:
    node = helper.make_node("Shell", ["x"], ["y"], domain="evil")
    save(directory, model_of([node], domains={"evil": 1}))


@hostile("custom operator Shell")
def custom_operator_in_a_subgraph(directory: Path, outside: Path) -> None:
    node = branch(2, helper.make_node("Shell", ["x"], ["y"], domain="evil"))
    save(directory, model_of([node], domains={"evil": 1}))


@hostile("custom operator Shell")
def custom_operator_in_a_function(directory: Path, outside: Path) -> None:
    node = helper.make_node("Shell", ["a"], ["b"], domain="evil")
    imports = [helper.make_opsetid("evil", 1)]
    function = helper.make_function("f", "F", ["a"], ["b"], [node], imports)
    call = helper.make_node("F", ["x"], ["y"], domain="f")
    save(directory, model_of([call], functions=[function], domains={"f": 1}))


@hostile("is a number, not a text")
def custom_operator_behind_a_false_field(directory: Path, outside: Path) -> None:
    """A parser skips the second domain, of the wrong kind, and keeps the first."""
    node = helper.make_node("Shell", ["x"], ["y"], domain="evil").SerializeToString() + b"\x38\x00"
    model = model_of(domains={"evil": 1}).SerializeToString()
    graph = b"\x0a" + bytes([len(node)]) + node
    save_bytes(directory, b"\x3a" + bytes([len(graph)]) + graph, model)


def save_bytes(directory: Path, *parts: bytes) -> None:
    (directory / "model.onnx").write_bytes(b"".join(parts))


@hostile("would take")
def tensor_of_an_exabyte(directory: Path, outside: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 40, 1 << 20])
    save(directory, model_of(initializers=[tensor]))


@hostile("negative dimension")
def tensor_of_negative_size(directory: Path, outside: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-1, 4])
    save(directory, model_of(initializers=[tensor]))


@hostile("more than 64 dimensions")
def tensor_of_many_dimensions(directory: Path, outside: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1] * 1000)
    save(directory, model_of(initializers=[tensor]))


@hostile("the model file holds 16")
def tensor_larger_than_its_data(directory: Path, outside: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 20], raw_data=bytes(16))
    save(directory, model_of(initializers=[tensor]))


@hostile("the model file holds")
def tensor_larger_than_its_floats(directory: Path, outside: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 20], float_data=[1.0])
    save(directory, model_of(initializers=[tensor]))


@hostile("unknown data type 99")
def tensor_of_an_unknown_type(directory: Path, outside: Path) -> None:
    save(directory, model_of(initializers=[TensorProto(name="w", data_type=99, dims=[4])]))


@hostile("a sparse tensor of shape")
def sparse_tensor_of_an_exabyte(directory: Path, outside: Path) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "w")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    sparse = onnx.SparseTensorProto(values=values, indices=indices, dims=[1 << 40, 1 << 18])
    save(directory, model_of(sparse=[sparse]))


@hostile("bytes, at most")
def one_file_for_many_tensors(directory: Path, outside: Path) -> None:
    with (directory / "w.bin").open("wb") as file:
        file.truncate(1 << 32)
    tensors = [outside_tensor("w.bin", shape=(1 << 30,)) for _ in range(100)]
    save(directory, model_of(initializers=tensors))


@hostile("deeper than 16")
def graphs_within_graphs(directory: Path, outside: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    for level in range(20):
        result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        graph = helper.make_graph([node], f"b{level}", [], [result])
        node = helper.make_node("If", ["c"], ["y"], then_branch=graph)
    save(directory, model_of([node]))


@hostile("nodes once its functions are in place")
def functions_that_multiply(directory: Path, outside: Path) -> None:
    functions = []
    for level in range(40):
        inner = ("Relu", "") if not level else (f"F{level - 1}", "f")
        nodes = [
            helper.make_node(inner[0], ["a"], ["t"], domain=inner[1]),
            helper.make_node(inner[0], ["t"], ["b"], domain=inner[1]),
        ]
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
        functions.append(helper.make_function("f", f"F{level}", ["a"], ["b"], nodes, imports))
    call = helper.make_node("F39", ["x"], ["y"], domain="f")
    save(directory, model_of([call], functions=functions, domains={"f": 1}))


@hostile("in a circle")
def functions_in_a_circle(directory: Path, outside: Path) -> None:
    imports = [helper.make_opsetid("f", 1)]
    functions = [
        helper.make_function(
            "f", one, ["a"], ["b"], [helper.make_node(two, ["a"], ["b"], domain="f")], imports
        )
        for one, two in (("F", "G"), ("G", "F"))
    ]
    call = helper.make_node("F", ["x"], ["y"], domain="f")
    save(directory, model_of([call], functions=functions, domains={"f": 1}))


@hostile("defined twice")
def functions_of_one_name(directory: Path, outside: Path) -> None:
    node = helper.make_node("Relu", ["a"], ["b"])
    function = helper.make_function("f", "F", ["a"], ["b"], [node], [helper.make_opsetid("", 17)])
    call = helper.make_node("F", ["x"], ["y"], domain="f")
    save(directory, model_of([call], functions=[function, function], domains={"f": 1}))


@hostile("field 7 twice")
def graph_in_two_halves(directory: Path, outside: Path) -> None:
    content = model_of().SerializeToString()
    save_bytes(directory, content, content)


@hostile("metadata is over")
def metadata_without_end(directory: Path, outside: Path) -> None:
    model = model_of()
    for number in range(40):
        model.metadata_props.add(key=f"k{number}", value="x" * 40_000)
    save(directory, model)


@hostile("more than 1000000 nodes")
def nodes_without_end(directory: Path, outside: Path) -> None:
    graph = b"\x0a\x00" * 1_000_001  # empty nodes
    length = len(graph)
    size = bytes([length & 0x7F | 0x80, length >> 7 & 0x7F | 0x80, length >> 14])
    save_bytes(directory, b"\x3a" + size + graph)


@hostile("cut short")
def cut_in_the_middle(directory: Path, outside: Path) -> None:
    content = model_of().SerializeToString()
    save_bytes(directory, content[: len(content) // 2])


@hostile("no field can start")
def preallocated(directory: Path, outside: Path) -> None:
    save_bytes(directory, model_of().SerializeToString(), bytes(100))


@hostile("longer than 10 bytes")
def number_without_end(directory: Path, outside: Path) -> None:
    save_bytes(directory, b"\x08" + b"\xff" * 20)


@hostile("unknown wire type 3")
def group_field(directory: Path, outside: Path) -> None:
    save_bytes(directory, model_of().SerializeToString(), b"\x0b\x0c")


@hostile("no graph in it")
def empty_file(directory: Path, outside: Path) -> None:
    save_bytes(directory, b"")


@hostile("archive")
def zip_for_a_model(directory: Path, outside: Path) -> None:
    with zipfile.ZipFile(directory / "model.onnx", "w") as archive:
        archive.writestr("../../evil", "x")


@hostile("archive")
def tar_for_a_model(directory: Path, outside: Path) -> None:
    with tarfile.open(directory / "model.onnx", "w") as archive:
        archive.addfile(tarfile.TarInfo("../../evil"))


@hostile("pickle")
def pickle_for_a_model(directory: Path, outside: Path) -> None:
    (directory / "model.onnx").write_bytes(pickle.dumps({"weights": 1}))


def beside(name: str, reason: str, file: str, content: bytes) -> None:
    def build(directory: Path, outside: Path) -> None:
        save(directory, model_of())
        (directory / file).write_bytes(content)

    build.__name__ = name
    hostile(reason)(build)


beside("joblib_beside", "pickle", "scaler.joblib", b"x")
beside("torch_beside", "pickle", "net.pt", b"x")
beside("pickle_beside_by_another_name", "pickle", "notes.txt", pickle.dumps([1]))
beside("zip_beside", "archive", "all.zip", b"x")
beside("zip_beside_by_another_name", "archive", "data.json", b"PK\x03\x04....")
beside("library_beside", "is code", "ops.so", b"x")
beside("library_beside_by_another_name", "is code", "ops.dat", b"\x7fELF....")
beside("script_beside", "is code", "preprocess.py", b"x")
beside("name_with_a_line_break", "characters", "a\nb", b"x")


@hostile("symbolic link")
def model_by_a_link(directory: Path, outside: Path) -> None:
    save(outside, model_of())
    (directory / "model.onnx").symlink_to(outside / "model.onnx")


@hostile("named pipe")
def model_from_a_pipe(directory: Path, outside: Path) -> None:
    os.mkfifo(directory / "model.onnx")


@hostile("there is no model.onnx")
def no_model(directory: Path, outside: Path) -> None:
    (directory / "readme.md").write_text("soon")


@hostile("nested deeper")
def folders_within_folders(directory: Path, outside: Path) -> None:
    save(directory, model_of())
    (directory / "/".join("abcdefghijk")).mkdir(parents=True)


@pytest.fixture(scope="session")
def corpus() -> dict[str, tuple[str, Build]]:
    return CORPUS


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """An empty version directory in a registry."""
    path = tmp_path / "registry" / "m" / "1"
    path.mkdir(parents=True)
    return path


@pytest.fixture(scope="session")
def onnx_model() -> Callable[..., Any]:
    return model_of


@pytest.fixture(scope="session")
def external() -> Callable[..., Any]:
    return outside_tensor


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """A small model outside of any registry."""
    save(tmp_path, model_of())
    return tmp_path / "model.onnx"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "hostile_case" in metafunc.fixturenames:
        metafunc.parametrize("hostile_case", sorted(CORPUS))
