"""onnxruntime writes no device id and reports nothing, however it comes into a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/registry/breast-cancer/1/model.onnx"
LOAD = f"""
from pathlib import Path
from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.onnx import OnnxRuntime
OnnxRuntime().load(Path({str(EXAMPLE)!r}), LoadOptions())
"""
APP = f"""
from penstock.server import create_app
create_app({str(EXAMPLE.parents[2])!r})
import onnxruntime  # what a plug-in does
onnxruntime.InferenceSession({str(EXAMPLE)!r}, providers=["CPUExecutionProvider"])
"""
COMMAND = f"""
from penstock.server.cli.main import main
main(["push", "registry", "model", {str(EXAMPLE)!r}])
import onnxruntime
"""
LATE = "import logging; logging.basicConfig()\nimport onnxruntime\n" + LOAD


def run(code: str, home: Path, **more: str) -> str:
    """Its standard error, in an environment that says nothing of telemetry."""
    home.mkdir(exist_ok=True)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), **more}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=home.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("code", [LOAD, APP, COMMAND], ids=["runtime", "app", "command"])
def test_nothing_is_left_in_the_home_of_the_user(tmp_path: Path, code: str) -> None:
    run(code, tmp_path / "home")
    assert list((tmp_path / "home").rglob("*")) == []


def test_a_user_who_has_it_on_is_not_reported_either(tmp_path: Path) -> None:
    run(LOAD, tmp_path / "home", ORT_DISABLE_TELEMETRY="0")
    assert list((tmp_path / "home").rglob("*")) == []


def test_without_us_a_device_id_is_left_there(tmp_path: Path) -> None:
    """What the tests above look for; where it is missing, they show nothing on this machine."""
    run("import onnxruntime", tmp_path / "home")
    if not any(path.is_file() for path in (tmp_path / "home").rglob("*")):
        pytest.skip("this build of onnxruntime has no telemetry")


def test_an_import_before_ours_is_told(tmp_path: Path) -> None:
    assert "onnxruntime was imported before Penstock" in run(LATE, tmp_path / "home")
    assert "imported before" not in run(LATE, tmp_path / "h2", ORT_DISABLE_TELEMETRY="1")
