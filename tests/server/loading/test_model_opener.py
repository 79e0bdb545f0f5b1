"""A model in a process of its own, by the interpreter of its own virtual environment."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from penstock.runtimes.discovery import find_runtime
from penstock.server.config.config import load_config
from penstock.server.config.model_config import parse_model_config
from penstock.server.loading.load_order import LoadOrder
from penstock.server.loading.model_opener import ModelOpener

if TYPE_CHECKING:
    from collections.abc import Callable

#: What onnxruntime imports.
NEEDED = ("numpy", "numpy.libs", "onnxruntime", "google", "flatbuffers", "packaging")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A virtual environment with onnxruntime, without msgspec and Penstock."""
    path = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    [packages] = path.glob("lib/python*/site-packages")
    for name in NEEDED:
        if (found := Path(sysconfig.get_path("purelib"), name)).exists():
            (packages / name).symlink_to(found)
    python = path / "bin" / "python"
    command = [python, "-I", "-c", "import msgspec"]
    assert subprocess.run(command, capture_output=True, check=False).returncode
    return path


def test_settings_reach_a_model_whose_interpreter_has_no_decoder(
    environment: Path, tmp_path: Path, onnx_file: Callable[..., Any]
) -> None:
    path = tmp_path / "1" / "model.onnx"
    onnx_file(path, [("Relu", ["x"], ["y"])], [("x", "FLOAT", ["n"])], [("y", "FLOAT", ["n"])])
    content = {
        "isolation": "process",
        "process": {"interpreter": str(environment)},
        "runtime": {"batch_axis": False, "providers": [["CPUExecutionProvider", {}]]},
    }
    config = load_config({"registry": str(tmp_path), "allow_code": "m"}, {})
    order = LoadOrder("m", "1", path.parent, parse_model_config(content, "model.toml"))
    opener = ModelOpener(config)
    try:
        model = opener.open(*find_runtime(path.parent), path.parent, order)
        try:
            [y] = model.execute([np.array([-1, 2], np.float32)], ["y"])
            assert y.tolist() == [0.0, 2.0]
            assert not model.signature.batch_axis
        finally:
            model.unload()
    finally:
        opener.close()
