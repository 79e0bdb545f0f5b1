"""One registry of small models behind both front ends."""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import numpy_helper

from penstock.runtimes.contract import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from penstock.runtimes.contract import Array, LoadOptions

sys.path.insert(0, str(Path(__file__).parent))  # `moody`, `plug_ins`

import plug_ins

#: OIP v2 datatype -> ONNX element type.
ELEMENT_TYPES = {
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
#: Rows of the gate model from this value on wait until the gate is opened.
HELD = 1000.0


class Gate:
    """The test's hand on the runs of the gate model."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.executed: list[float] = []

    def wait_until_held(self) -> None:
        assert self.entered.acquire(timeout=60), "no run has reached the gate"


GATE = Gate()


class GateModel:
    """Gives its input back: FP32 [-1, 1]. Takes 2 ms, and for some values until it is let go."""

    signature = Signature(
        (TensorSpec("x", "FP32", (-1, 1)),), (TensorSpec("y", "FP32", (-1, 1)),), batch_axis=True
    )
    metadata: Mapping[str, str] = {}

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        (x,) = inputs
        assert x is not None
        time.sleep(0.002)  # long enough not to run on the event loop
        GATE.executed.extend(x.ravel().tolist())
        if (x >= HELD).any():
            GATE.entered.release()
            assert GATE.open.wait(timeout=60), "the gate was not opened"
        return [x.copy() for _ in outputs]

    def unload(self) -> None:
        GATE.open.set()


class GateRuntime:
    """Installed by its entry point, as plug-ins are."""

    platform = "gate"

    def find(self, directory: Path) -> Path | None:
        path = directory / "model.gate"
        return path if path.exists() else None

    def load(self, path: Path, options: LoadOptions) -> GateModel:
        return GateModel()


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Closed; opened for good at the end of the test."""
    GATE.open.clear()
    GATE.executed.clear()
    GATE.entered = threading.Semaphore(0)
    yield GATE
    GATE.open.set()


@pytest.fixture(scope="session")
def gate_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What would be installed with the gate runtime."""
    return plug_ins.write_site(tmp_path_factory.mktemp("site"), "gate", f"{__name__}:GateRuntime")


@pytest.fixture(scope="module")
def gate_runtime(gate_site: Path) -> Iterator[None]:
    """With the gate runtime installed."""
    with plug_ins.installed(gate_site):
        yield


def add_gate(registry: Path, name: str, *, max_queue_rows: int = 64) -> None:
    version = registry / name / "1"
    version.mkdir(parents=True)
    (version / "model.gate").touch()
    (registry / name / "model.toml").write_text(
        f"[batching]\nmax_batch_size = 1\nmax_queue_rows = {max_queue_rows}\n"
        "max_queue_seconds = 60\n"
    )


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, onnx_file: Callable[..., Path]) -> Path:
    """Its models ``gate`` and ``tiny`` need the gate runtime to be loaded."""
    root = tmp_path_factory.mktemp("registry")

    def add(name: str, *graph: Any, version: int = 1) -> Path:
        return onnx_file(root / name / str(version) / "model.onnx", *graph)

    pair = numpy_helper.from_array(np.array([1, 2], np.float32), "c")

    def identity(name: str, kind: str, shape: list[Any], version: int = 1) -> Path:
        tensors = [("x", kind, shape)], [("y", kind, shape)]
        return add(name, [("Identity", ["x"], ["y"])], *tensors, version=version)

    for datatype, kind in ELEMENT_TYPES.items():
        identity(f"echo-{datatype.lower()}", kind, ["n", 2])
    for version in (1, 2):
        identity("echo", "FLOAT", ["n", 2], version)
    identity("open", "FLOAT", ["n", "m"])
    identity("whole", "FLOAT", [2, 3])
    identity("scalar", "FLOAT", [])
    add("constant", [("Identity", ["c"], ["y"])], [], [("y", "FLOAT", [2])], [pair])
    add(
        "two",
        [("ReduceSum", ["a", "axis"], ["sum"]), ("Identity", ["b"], ["same"])],
        [("a", "FLOAT", ["n", 3]), ("b", "INT64", ["n", 2])],
        [("sum", "FLOAT", ["n", 1]), ("same", "INT64", ["n", 2])],
        [numpy_helper.from_array(np.array([1]), "axis")],
    )
    add(
        "pick",  # fails on an index that the table does not have
        [("Gather", ["table", "index"], ["value"])],
        [("index", "INT64", ["n", 1])],
        [("value", "FLOAT", ["n", 1])],
        [numpy_helper.from_array(np.arange(8, dtype=np.float32), "table")],
    )
    add(
        "bert",  # two inputs whose open dimension bears one name
        [("Mul", ["ids", "mask"], ["y"])],
        [("ids", "FLOAT", ["batch", "seq"]), ("mask", "FLOAT", ["batch", "seq"])],
        [("y", "FLOAT", ["batch", "seq"])],
    )
    add(
        "largest",  # there is none of nothing
        [("TopK", ["x", "k"], ["y", "places"])],
        [("x", "FLOAT", ["n", "m"])],
        [("y", "FLOAT", ["n", 1])],
        [numpy_helper.from_array(np.array([1]), "k")],
    )
    add(
        "wide",  # a small request with a large answer
        [("Expand", ["x", "shape"], ["y"])],
        [("x", "FLOAT", ["n", 1])],
        [("y", "FLOAT", ["n", 50_000])],
        [numpy_helper.from_array(np.array([1, 50_000]), "shape")],
    )
    add_gate(root, "gate")
    add_gate(root, "tiny", max_queue_rows=2)
    good = (root / "echo" / "1" / "model.onnx").read_bytes()
    for name, content in {
        "broken": b"this is no model",
        "empty": b"",
        "truncated": good[: len(good) // 2],
        "mixed": b"\xff" * 100,
    }.items():
        (root / name / "1").mkdir(parents=True)
        (root / name / "1" / "model.onnx").write_bytes(content)
    identity("mixed", "FLOAT", ["n", 2], version=2)
    (root / "vacant").mkdir()
    (root / "unfinished" / "1").mkdir(parents=True)
    return root


@pytest.fixture(scope="session")
def servers(registry: Path, gate_site: Path, live_server: Any) -> Iterator[dict[str, Any]]:
    """The registry behind each front end, with small limits on sizes and the usual ones on times.

    Behind each front end there is one server that remembers requests and runs them together, and
    one that does not: ``fast plain`` and ``asgi plain``.
    """
    options = {"max_body_bytes": 300_000, "threads": 2, "large_body_bytes": 65_536}
    kinds = {"fast": True, "asgi": True, "fast plain": False, "asgi plain": False}
    with ExitStack() as stack:
        with plug_ins.installed(gate_site):  # all is loaded when a server has started
            started = {
                name: stack.enter_context(
                    live_server(registry, name.split()[0], request_caching=caching, **options)
                )
                for name, caching in kinds.items()
            }
        yield started


@pytest.fixture(params=["fast", "asgi"])
def any_server(request: pytest.FixtureRequest, servers: dict[str, Any]) -> Any:
    """One running server of each front end in turn."""
    return servers[request.param]


@pytest.fixture
def fast(servers: dict[str, Any]) -> Any:
    """The running server with the fast path."""
    return servers["fast"]


@pytest.fixture(scope="module")
def serve(registry: Path, live_server: Any, gate_runtime: None) -> Callable[..., Any]:
    """A server of its own for a test that needs other limits."""

    def start(any_server: str = "fast", **options: Any) -> Any:
        return live_server(registry, any_server, **{"threads": 2, **options})

    return start


def make_body(values: Any = ((1.0, 2.0),), name: str = "x", datatype: str = "FP32") -> bytes:
    array = np.array(values, np.object_)
    tensor = {"name": name, "shape": array.shape, "datatype": datatype, "data": array.tolist()}
    return json.dumps({"inputs": [tensor]}).encode()


def make_post(
    target: str = "echo",
    body: bytes | None = None,
    *lines: str,
    version: str = "HTTP/1.1",
    length: int | None = None,
) -> bytes:
    """A prediction request; ``target`` is a model or a whole path."""
    content = make_body() if body is None else body
    path = target if target.startswith(("/", "http")) else f"/v2/models/{target}/infer"
    head = [
        f"POST {path} {version}",
        "host: penstock",
        f"content-length: {len(content) if length is None else length}",
        *lines,
    ]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + content


def make_chunked(target: str, *chunks: bytes, trailers: bytes = b"") -> bytes:
    head = make_post(target, b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    pieces = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    return b"".join([head, *pieces, b"0\r\n", trailers, b"\r\n"])


def gate_post(value: float, model: str = "gate", *lines: str) -> bytes:
    return make_post(model, make_body([[value]]), *lines)


@pytest.fixture(scope="session")
def body() -> Callable[..., bytes]:
    return make_body


@pytest.fixture(scope="session")
def post() -> Callable[..., bytes]:
    return make_post


@pytest.fixture(scope="session")
def chunked() -> Callable[..., bytes]:
    return make_chunked


@pytest.fixture(scope="session")
def held() -> Callable[..., bytes]:
    """A request to the gate model, or another one like it."""
    return gate_post


@pytest.fixture(scope="session")
def get() -> Callable[..., bytes]:
    def make(path: str, *lines: str, method: str = "GET") -> bytes:
        return "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", *lines, "", ""]).encode()

    return make


@pytest.fixture(scope="session")
def people() -> Any:
    """A table with a column of categories, and labels that hang on two of its columns."""
    import pandas as pd  # here: most tests need none

    generator = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "age": generator.uniform(20, 60, 200),
            "city": pd.Categorical(generator.choice(["Oslo", "Bergen"], 200), ["Oslo", "Bergen"]),
            "income": generator.uniform(0, 9, 200),
        }
    )
    return table, (table["age"] > 40) ^ (table["city"] == "Oslo")


@pytest.fixture(scope="session")
def check_openapi() -> Callable[[Any], None]:
    """Raises if a description is none of OpenAPI."""
    from openapi_spec_validator import validate  # takes a second, of every process of the tests

    return validate
