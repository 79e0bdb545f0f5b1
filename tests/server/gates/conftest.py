"""A model of two columns, and what its gates need."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import numpy_helper

from penstock.server.config.config import load_config
from penstock.server.config.model_config import parse_model_config
from penstock.server.gates.gate_order import GatedVersion, GateOrder, question_of
from penstock.server.gates.run_gates import run_gates

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, onnx_file: Callable[..., Path]) -> Path:
    """Versions of model ``m``: 1 gives p = sigmoid(x0), 2 gives sigmoid(x1), 3 is no model."""
    home = tmp_path / "registry" / "m"
    for version, weights in ((1, [[1.0], [0.0]]), (2, [[0.0], [1.0]])):
        onnx_file(
            home / str(version) / "model.onnx",
            [("MatMul", ["x", "w"], ["z"]), ("Sigmoid", ["z"], ["p"])],
            [("x", "FLOAT", ["rows", 2])],
            [("p", "FLOAT", ["rows", 1])],
            [numpy_helper.from_array(np.array(weights, np.float32), "w")],
        )
    (home / "3").mkdir()
    (home / "3" / "model.onnx").write_bytes(b"no model")
    return home


@pytest.fixture
def held_out(home: Path) -> SimpleNamespace:
    """1,000 rows: the label is 1 where x0 is above 0; x1 is x0 with noise."""
    dice = np.random.default_rng(5)
    first = dice.normal(size=1000)
    second = first + dice.normal(0, 0.5, 1000)
    label = (first > 0).astype(int)
    lines = ["a,b,target,place"]
    lines += [
        f"{x:.6f},{y:.6f},{z},{'north' if n % 2 else 'south'}"
        for n, (x, y, z) in enumerate(zip(first, second, label, strict=True))
    ]
    (home / "rows.csv").write_text("\n".join(lines) + "\n")
    return SimpleNamespace(first=first, second=second, label=label)


@pytest.fixture
def gates(home: Path) -> Callable[..., dict[str, Any]]:
    """The results of gates by name, run in this process."""

    def run(
        version: int,
        incumbent: int | None = None,
        said: Any = (),
        columns: Any = ("a", "b"),
        **asked: Any,
    ) -> Any:
        tables = {
            "feedback": {"kind": "classification", "positive": 1},
            "gates": asked,
            "monitoring": {"features": list(columns)} if columns else {},
        }
        config = parse_model_config(tables, "model.toml")
        order = GateOrder(
            "m",
            home,
            config,
            GatedVersion(version, home / str(version), f"sha256:{version}"),
            None
            if incumbent is None
            else GatedVersion(incumbent, home / str(incumbent), f"sha256:{incumbent}"),
            dict(said),
            question_of(f"sha256:{version}", config.gates, home),
        )
        report = run_gates(load_config({"registry": str(home.parent)}, {}), order)
        return {one.gate: one for one in report.results}

    return run
