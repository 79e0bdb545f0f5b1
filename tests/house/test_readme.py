"""The README is run: what it tells a newcomer to type works, and answers what it says.

<!-- run -->      before a ``sh`` or ``console`` block: its commands are executed, all such
                  blocks in order in one bash. A server is started in the background and
                  awaited; the default ports (8000, 8001) become free ones.
<!-- output -->   before a ``json`` block: what the block before it printed. ``"..."`` stands
                  for any value; numbers are equal to four digits.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

MARKED = re.compile(
    r"^<!-- (?P<mark>run|output) -->\n+```(?P<kind>\w+)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SERVER = re.compile(r"^(make demo|penstock serve|\S*/penstock serve)\b")
PORTS = ("8000", "8001")
START_SECONDS = 40
ALL_SECONDS = 120


@dataclass
class Step:
    """One block to run, and what it must print."""

    commands: str
    expected: Any = None
    compared: bool = False


def steps(markdown: str) -> list[Step]:
    """The marked blocks, in order."""
    found: list[Step] = []
    for block in MARKED.finditer(markdown):
        if block["mark"] == "run":
            assert block["kind"] in {"sh", "console"}, f"cannot run a {block['kind']} block"
            found.append(
                Step(typed(block["body"]) if block["kind"] == "console" else block["body"])
            )
        else:
            assert block["kind"] == "json", f"cannot compare a {block['kind']} block"
            assert found, "an output without a block that ran"
            found[-1].expected, found[-1].compared = json.loads(block["body"]), True
    return found


def typed(session: str) -> str:
    """The lines of a console session that a person types."""
    lines, going_on = [], False
    for line in session.splitlines():
        if line.startswith("$ ") or going_on:
            lines.append(line.removeprefix("$ ").removeprefix("> " if going_on else ""))
            going_on = line.endswith("\\")
    return "\n".join(lines) + "\n"


def script(plan: list[Step], ports: dict[str, int], outputs: Path) -> str:
    """One bash script: every block's output goes to its own file."""
    parts = []
    for number, step in enumerate(plan):
        commands = []
        for line in step.commands.replace("\\\n", " ").splitlines():
            server = SERVER.match(line.strip())
            if server is None:
                commands.append(line)
                continue
            log = shlex.quote(str(outputs / "server.log"))
            commands.append(f"{line.strip().rstrip('&').strip()} >{log} 2>&1 &")
            commands.append(f"await_server $! {ports[PORTS[0]]} {log}")
        body = "\n".join(commands)
        for default, port in ports.items():
            body = re.sub(rf"\b{default}\b", str(port), body)
        parts.append(f"{{\n{body}\n}} >{shlex.quote(str(outputs / str(number)))}")
    return PREAMBLE + "\n".join(parts) + "\n"


PREAMBLE = f"""
set -euo pipefail
trap 'code=$?; kill $(jobs -p) 2>/dev/null || true; wait || true; exit $code' EXIT
await_server() {{
  for _ in $(seq {START_SECONDS * 10}); do
    curl --silent --fail --output /dev/null "http://127.0.0.1:$2/v2/health/ready" && return
    kill -0 "$1" 2>/dev/null || break
    sleep 0.1
  done
  echo "the server is not ready:" >&2; cat "$3" >&2; exit 1
}}
"""


def differences(expected: Any, actual: Any, at: str = "$") -> list[str]:
    """Where an answer is not what the document shows."""
    if expected == "...":
        return []
    if isinstance(expected, dict) and isinstance(actual, dict):
        missing = [f"{at}.{key} is in one only" for key in expected.keys() ^ actual.keys()]
        common = [key for key in expected if key in actual]
        return missing + [
            line
            for key in common
            for line in differences(expected[key], actual[key], f"{at}.{key}")
        ]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return [line for i, (e, a) in pairs for line in differences(e, a, f"{at}[{i}]")]
    if isinstance(expected, float) and isinstance(actual, float):
        same = math.isclose(expected, actual, rel_tol=1e-4)
    else:
        same = expected == actual
    return [] if same else [f"{at} is {actual!r}, the document says {expected!r}"]


def run(markdown: str, directory: Path, outputs: Path) -> list[str]:
    """Execute a document; returns what went wrong."""
    plan = steps(markdown)
    ports = dict(zip(PORTS, free_ports(), strict=True))
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PENSTOCK_PORT": str(ports["8000"]),
        "PENSTOCK_ADMIN_PORT": str(ports["8001"]),
    }
    with (outputs / "errors").open("wb") as errors:
        bash = subprocess.Popen(
            ["bash", "-c", script(plan, ports, outputs)],
            cwd=directory,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    try:
        code = bash.wait(ALL_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError):  # nothing may stay behind
            os.killpg(bash.pid, signal.SIGKILL)
        bash.wait()
    if code != 0:
        return [f"bash ended with {code}: {(outputs / 'errors').read_text()}"]
    return [
        f"{step.commands.strip().splitlines()[0]}: {line}"
        for number, step in enumerate(plan)
        if step.compared
        for line in differences(step.expected, json.loads((outputs / str(number)).read_bytes()))
    ]


def free_ports() -> list[int]:
    with socket.socket() as first, socket.socket() as second:
        for probe in (first, second):
            probe.bind(("127.0.0.1", 0))
        return [first.getsockname()[1], second.getsockname()[1]]


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the README calls curl")


@needs_curl
@pytest.mark.slow
def test_the_readme_works(project: Any, tmp_path: Path) -> None:
    text = (project.root / "README.md").read_text()
    assert steps(text), "the README has no <!-- run --> block"
    assert run(text, project.root, tmp_path) == []


DOCUMENT = """
<!-- run -->
```console
$ NAME=world
$ echo '{"hello": \\
>   "'$NAME'", "at": 1.00001, "port": 8000}'
{"hello": "world"}
```

<!-- output -->
```json
{"hello": "world", "at": 1.0, "port": "..."}
```

```sh
exit 3  # not marked
```

<!-- run -->
```sh
echo "[1, \\"$NAME\\"]"
```
<!-- output -->
```json
[1, "world"]
```
"""


def test_a_correct_document_passes(tmp_path: Path) -> None:
    assert len(steps(DOCUMENT)) == 2
    assert run(DOCUMENT, tmp_path, tmp_path) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"world", "at"', '"moon", "at"'),
        ("1.0,", "1.01,"),
        ('[1, "world"]', '[1, "world", 2]'),
        ("$ NAME=world", "$ false"),
        ("$ NAME=world", "$ echo $UNSET"),
    ],
)
def test_a_wrong_document_is_found(tmp_path: Path, before: str, after: str) -> None:
    assert before in DOCUMENT
    assert len(run(DOCUMENT.replace(before, after), tmp_path, tmp_path)) == 1


@needs_curl
def test_servers_run_in_the_background_on_free_ports(
    tmp_path: Path, plant: Callable[..., Any]
) -> None:
    plant({"bin/penstock": FAKE_SERVER})
    (tmp_path / "bin" / "penstock").chmod(0o755)
    document = (
        "<!-- run -->\n```sh\nbin/penstock serve \\\n  models\n```\n"
        "<!-- run -->\n```sh\ncurl -s localhost:8000/anything\n```\n"
        '<!-- output -->\n```json\n{"path": "/anything"}\n```\n'
    )
    assert run(document, tmp_path, tmp_path) == []


@needs_curl
def test_a_server_that_does_not_start_is_reported(
    tmp_path: Path, plant: Callable[..., Any]
) -> None:
    plant({"bin/penstock": "#!/bin/sh\necho no such registry\nexit 2\n"})
    (tmp_path / "bin" / "penstock").chmod(0o755)
    (problem,) = run("<!-- run -->\n```sh\nbin/penstock serve x\n```\n", tmp_path, tmp_path)
    assert "no such registry" in problem


FAKE_SERVER = f"""#!{sys.executable}
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({{"path": self.path}}).encode())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PENSTOCK_PORT"])), Handler).serve_forever()
"""
