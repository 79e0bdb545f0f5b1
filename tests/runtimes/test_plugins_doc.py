"""The example in docs/plugins.md is complete and keeps its promises."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.onnx_settings import OnnxSettings

PAGE = Path(__file__).parents[2] / "docs" / "plugins.md"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """What the page's Python blocks define, run in order as one module."""
    namespace: dict[str, Any] = {"__name__": "example"}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    exec(compile("\n".join(blocks), str(PAGE), "exec"), namespace)
    return namespace


def test_its_conformance_test_passes(example: dict[str, Any], tmp_path: Path) -> None:
    example["test_conformance"](tmp_path)


def test_it_computes_what_it_says(example: dict[str, Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", weight=np.array([[2.0], [3.0]]), bias=np.array([1.0]))
    runtime = example["LinearRuntime"]()
    model = runtime.load(runtime.find(tmp_path), LoadOptions())
    (y,) = model.execute([np.array([[10, 100]], np.float32)], ["y"])
    assert y.tolist() == [[321.0]]


def test_every_setting_is_documented() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert documented == [field.name for field in fields(OnnxSettings)]
