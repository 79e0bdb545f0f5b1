"""``make demo`` does what it says, on a terminal and off."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def command(examples: Path, port: int, *arguments: str) -> list[str]:
    return [sys.executable, str(examples / "demo.py"), "--port", str(port), *arguments]


@pytest.fixture(scope="module")
def finished(examples: Path) -> tuple[int, subprocess.CompletedProcess[str]]:
    """A port that is taken, and what a demo that was told to use it has done."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        return port, subprocess.run(
            command(examples, port, "--exit"),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )


def test_it_predicts_shows_and_ends(finished: Any) -> None:
    _, done = finished
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"breast-cancer version 2: 97\.0% right on 200 held-out rows", done.stdout)
    named = "on 40 held-out rows with named columns"
    assert re.search(rf"iris, run by XGBoost: \d+\.\d% right {named}", done.stdout)
    assert re.search(rf"diabetes, run by LightGBM: off by \d+ in the mean {named}", done.stdout)
    assert re.search(r"digits version 1: 9\d\.\d% right on 200 held-out rows", done.stdout)


def test_it_takes_another_port_when_its_own_is_taken(finished: Any) -> None:
    port, done = finished
    assert f"Port {port} is taken; using " in done.stdout


def shows_its_addresses(port: int, said: str) -> bool:
    url = f"http://127.0.0.1:{port}"
    curl = rf"^curl {url}/v2/models/breast-cancer/infer .* -d '.*'$"
    places = (f"{url}/docs", f"{url}/metrics")
    return all(one in said for one in places) and bool(re.search(curl, said, re.MULTILINE))


def heed_ctrl_c() -> None:
    """What runs in the background ignores Ctrl-C, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_told_to_stop(demo: Any, examples: Path, ending: signal.Signals) -> None:
    port = demo.free_port(0)
    with subprocess.Popen(
        command(examples, port),
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=heed_ctrl_c,  # noqa: PLW1509  no thread of ours holds a lock
    ) as process:
        assert process.stdout is not None
        try:
            lines = list(iter(process.stdout.readline, "Serving until Ctrl-C.\n"))
            assert shows_its_addresses(port, "".join(lines))
            (curl,) = (line for line in lines if line.startswith("curl "))
            said = subprocess.run(shlex.split(f"{curl} -sS"), capture_output=True, check=True)
            assert json.loads(said.stdout)["outputs"][0] == {
                "name": "label",
                "datatype": "INT64",
                "shape": [1],
                "data": [0],
            }
            process.send_signal(ending)
            assert process.wait(60) == 0
        finally:
            process.terminate()  # not kill: the server would stay
    assert demo.free_port(port) == port


def test_a_server_that_cannot_start_is_explained(demo: Any, tmp_path: Path) -> None:
    with (
        pytest.raises(demo.DemoError, match=r"it said:\n.*absent"),
        demo.served(tmp_path / "absent", demo.free_port(0)) as server,
    ):
        server.wait_until_ready()
