"""A server that real clients talk to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KINDS = {"FP16": "FLOAT16", "FP32": "FLOAT", "FP64": "DOUBLE", "BOOL": "BOOL", "BYTES": "STRING"}


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, onnx_file: Callable[..., Path]) -> Path:
    """``echo-<datatype>`` give a tensor of any two dimensions back, ``sum`` adds its inputs."""
    root = tmp_path_factory.mktemp("registry")
    for datatype in ("FP16", "FP32", "FP64", "BOOL", "BYTES", "INT8", "INT64", "UINT8", "UINT64"):
        kind, shape = KINDS.get(datatype, datatype), ["n", "m"]
        path = root / f"echo-{datatype.lower()}" / "1" / "model.onnx"
        onnx_file(path, [("Identity", ["x"], ["y"])], [("x", kind, shape)], [("y", kind, shape)])
    onnx_file(
        root / "sum" / "3" / "model.onnx",
        [("Add", ["a", "b"], ["sum"]), ("Sub", ["a", "b"], ["difference"])],
        [("a", "FLOAT", ["n", 4]), ("b", "FLOAT", ["n", 4])],
        [("sum", "FLOAT", ["n", 4]), ("difference", "FLOAT", ["n", 4])],
    )
    return root


@pytest.fixture(
    scope="session",
    params=[(frontend, caching) for frontend in ("fast", "asgi") for caching in (True, False)],
    ids=["fast", "fast, nothing remembered", "asgi", "asgi, nothing remembered"],
)
def server(request: pytest.FixtureRequest, registry: Path, live_server: Any) -> Iterator[Any]:
    """Each front end, with requests that are remembered and run together, and without."""
    frontend, request_caching = request.param
    with live_server(registry, frontend, request_caching=request_caching) as server:
        yield server
