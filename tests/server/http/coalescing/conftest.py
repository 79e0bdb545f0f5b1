from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import numpy_helper

from penstock.runtimes.contract import Signature, TensorSpec
from penstock.server.codecs.signature import WireSignature

sys.path.insert(0, str(Path(__file__).parent))  # `corpus`, `twins`

from corpus import ELEMENT_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def wire_of() -> Callable[..., WireSignature]:
    """A wire signature from ``(name, datatype, shape)`` tuples."""

    def make(*inputs: tuple[str, str, tuple[int, ...]]) -> WireSignature:
        specs = tuple(TensorSpec(*spec) for spec in inputs)
        return WireSignature(Signature(specs, (TensorSpec("y", "INT64", (-1,)),), True), "m", "3")  # noqa: FBT003

    return make


@pytest.fixture(scope="session")
def fuzzed_registry(tmp_path_factory: pytest.TempPathFactory, onnx_file: Any) -> Path:
    """The models of `corpus.TARGETS`: each gives its inputs back, so that an answer shows them."""
    root = tmp_path_factory.mktemp("fuzzed")

    def echo(name: str, kind: str, shape: Any, version: int = 1, op: str = "Identity") -> None:
        onnx_file(
            root / name / str(version) / "model.onnx",
            [(op, ["x"], ["y"]), ("Identity", ["x"], ["z"])],
            [("x", kind, shape)],
            [("y", kind, shape), ("z", kind, shape)],
        )

    for datatype, kind in ELEMENT_TYPES.items():
        for width in (1, 3):
            echo(f"echo-{datatype.lower()}-{width}", kind, ["n", width])
    for datatype in ("FP32", "FP64", "INT64", "UINT8"):
        echo(f"wide-{datatype.lower()}", ELEMENT_TYPES[datatype], ["n", 300])
    echo("open", "FLOAT", ["n", "m"])
    echo("whole", "FLOAT", [1, 3])
    echo("gated", "FLOAT", ["n", 3])
    (root / "gated" / "model.toml").write_text(
        '[quality]\nevent_time = "seen_at"\nmax_age = "1h"\nstale = "pass"\n'
        '[quality.fields.x]\nmin = -60000\nmax = 60000\nnulls = "impute"\nconstant = -1\n'
        'policy = "reject"\n'
    )
    for name, shape in (("swapped", ["n", 3]), ("split", ["n", 2])):
        echo(name, "FLOAT", shape)
        echo(name, "FLOAT", shape, 2, "Neg")
    onnx_file(
        root / "pair" / "1" / "model.onnx",
        [("Identity", ["x"], ["y"]), ("Add", ["b", "one"], ["z"])],
        [("x", "FLOAT", ["n", 2]), ("b", "INT64", ["n", 1])],
        [("y", "FLOAT", ["n", 2]), ("z", "INT64", ["n", 1])],
        [numpy_helper.from_array(np.array([1]), "one")],
    )
    return root
