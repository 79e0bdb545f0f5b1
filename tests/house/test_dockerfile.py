"""The image without an engine: its steps are make's, and its command serves as it would there."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALLED_AT = "/opt/penstock"
NOBODY = 10001


@pytest.fixture(scope="module")
def instructions(project: Any) -> list[tuple[str, str]]:
    """Instruction and argument, continued lines joined, comments left out."""
    text = (project.root / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and line[0] != "#"]
    return [(name, " ".join(rest.split())) for name, rest in (line.split(" ", 1) for line in lines)]


def every(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [argument for instruction, argument in instructions if instruction == name]


def last(instructions: list[tuple[str, str]], name: str) -> str:
    return every(instructions, name)[-1]


def test_steps_are_those_of_make(project: Any, instructions: list[tuple[str, str]]) -> None:
    dry = ["make", "--dry-run", "install", f"VENV={INSTALLED_AT}", "EDITABLE=", "PYTHON=python3"]
    shown = subprocess.run(dry, cwd=project.root, capture_output=True, text=True, check=True).stdout
    steps = [" ".join(line.split()) for line in shown.splitlines()]
    installing = [step for step in steps if not step.startswith(("echo", "touch", "make"))]
    assert every(instructions, "RUN") == installing


def test_runs_as_nobody_in_exec_form(instructions: list[tuple[str, str]]) -> None:
    assert last(instructions, "USER") == f"{NOBODY}:{NOBODY}"
    assert json.loads(last(instructions, "ENTRYPOINT")) == ["penstock"]
    assert json.loads(last(instructions, "CMD"))[0] == "serve"
    assert last(instructions, "STOPSIGNAL") == "SIGTERM"


def test_the_context_is_what_the_wheel_needs(project: Any) -> None:
    kept = allowed(project.root)
    rooms = {source.room for source in project.sources()}
    assert {"pyproject.toml", "README.md", "LICENSE", *rooms} == set(kept)


def allowed(root: Path) -> list[str]:
    """What ``.dockerignore`` lets into the build."""
    return re.findall(r"^!(\S+)$", (root / ".dockerignore").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def image(project: Any, instructions: list[tuple[str, str]]) -> Iterator[Path]:
    """What the build stage leaves behind, in a directory that everybody may read."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "source").mkdir()
        for entry in allowed(project.root):
            if (project.root / entry).is_file():
                shutil.copy(project.root / entry, root / "source")
            else:
                made = shutil.ignore_patterns("__pycache__", ".venvs")
                shutil.copytree(project.root / entry, root / "source" / entry, ignore=made)
        # Without the state of a server that has served them here.
        state = shutil.ignore_patterns(".penstock")
        shutil.copytree(project.root / "examples" / "registry", root / "models", ignore=state)
        for step in every(instructions, "RUN"):
            command = step.replace(INSTALLED_AT, f"{root}/penstock")
            arguments = shlex.split(re.sub("^python3 ", f"{sys.executable} ", command))
            subprocess.run(arguments, cwd=root / "source", check=True)
        yield root


def may_run_as_nobody(python: Path) -> bool:
    """Whether this process can drop to that user, and that user can reach the interpreter."""
    if os.geteuid() != 0:
        return False
    try:
        subprocess.run([python, "-c", ""], user=NOBODY, group=NOBODY, extra_groups=[], check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


@pytest.mark.slow
def test_a_file_of_a_stranger_is_answered_after_three_commands(
    image: Path, tmp_path: Path, onnx_file: Any
) -> None:
    """What pip has installed, one command to serve the file, one to ask; as README.md has it."""
    tensors = [("x", "FLOAT", ["n", 2])], [("y", "FLOAT", ["n", 2])]
    file = onnx_file(tmp_path / "a stranger's.onnx", [("Neg", ["x"], ["y"])], *tensors)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "log"
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    command = [image / "penstock" / "bin" / "penstock", "serve", file, "--port", str(port)]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--admin-port", "0"],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until_ready(server, port, log)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/models/a-stranger-s:predict",
            json.dumps({"instances": [[5.8, 4.0]]}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert "-5.8" in answer.read().decode()
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, log.read_text()
        assert not list(tmp_path.glob("penstock-model-*"))
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_the_command_serves_is_healthy_and_stops(
    image: Path, instructions: list[tuple[str, str]], tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binaries = image / "penstock" / "bin"
    scratch = image / "tmp"  # the tmpfs of `docker run --read-only --tmpfs /tmp`
    scratch.mkdir(mode=0o1777)
    scratch.chmod(0o1777)
    models = image / "models"
    models.chmod(0o555)
    identity = (
        {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        if may_run_as_nobody(binaries / "python")
        else {}
    )
    environment = {
        "PATH": f"{binaries}:/usr/bin:/bin",
        "HOME": "/",
        "TMPDIR": str(scratch),
        "XDG_RUNTIME_DIR": str(scratch),  # its own, beside other servers of this machine
        "PYTHONDONTWRITEBYTECODE": "1",
        "PORT": str(port),
        "PENSTOCK_ADMIN_PORT": "0",
    }
    entry, command = (json.loads(last(instructions, name)) for name in ("ENTRYPOINT", "CMD"))
    here = [str(models) if word == "/models" else word for word in command]
    check = json.loads(last(instructions, "HEALTHCHECK").partition(" CMD ")[2])
    log = tmp_path / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [binaries / entry[0], *here],
            cwd=models,
            env=environment,
            stdout=output,
            stderr=output,
            **identity,
        )
    try:
        wait_until_ready(server, port, log)
        healthy = [binaries / check[0], *check[1:]]
        # As Docker does: on a busy machine one check may take longer than it is given.
        assert any(
            subprocess.run(healthy, env=environment, check=False).returncode == 0 for _ in range(10)
        )
        moved = subprocess.run(healthy, env=environment | {"PORT": "9"}, check=False)
        assert moved.returncode == 0  # it asks where the server listens, whatever is said
        hidden = image / "hidden"  # where no server has written anything down
        hidden.mkdir(exist_ok=True, mode=0o777)
        wrong = environment | {"PORT": "9", "XDG_RUNTIME_DIR": str(hidden)}
        sick = subprocess.run(
            [binaries / check[0], *check[1:]], env=wrong, check=False, stderr=subprocess.DEVNULL
        )
        assert sick.returncode != 0
        page = f"http://127.0.0.1:{port}/docs"
        with urllib.request.urlopen(page, timeout=60) as answer:  # its template is in the wheel
            assert b"<h1>Penstock</h1>" in answer.read()
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0, log.read_text()
        stopped = subprocess.run(healthy, env=environment, check=False, stderr=subprocess.DEVNULL)
        assert stopped.returncode != 0
    finally:
        server.kill()
        server.wait()


def wait_until_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.05)
    pytest.fail(log.read_text())
