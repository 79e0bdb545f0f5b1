"""Runs the commands of a page in one bash, in order, against a real server.

- A ``penstock serve`` is started in the background, awaited, and sent 200 predictions. A page that
  starts no server finds one that serves the example models.
- The default ports (8000, 8001) and that of gRPC (9000) become free ones.
- ``# exit status N`` behind a command: the command must end with this status; otherwise with 0.
- A ``curl`` fails if the answer is an error of HTTP.
- What a ``console`` block shows below a command must be among the lines that the command printed.
- A ``json`` block marked as output is compared with all that the block before it printed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SERVER = re.compile(r"^(make demo|penstock serve|\S*/penstock serve)\b")
STATUS = re.compile(r"\s*# exit status (\d+).*$")
PORTS = ("8000", "8001", "9000")
ALL_SECONDS = 300
TRAFFIC = Path(__file__).with_name("traffic.py")


@dataclass
class Step:
    """One block: commands to run, or a file to write, and what the commands must print."""

    commands: str
    line: int = 0
    file: str = ""
    shown: list[str] = field(default_factory=list)
    expected: Any = None
    compared: bool = False


def steps(page: list[Any]) -> list[Step]:
    """What is to be done for a page: write its files, then run its commands in order."""
    found = [Step(block.body, block.line, file=block.file) for block in page if block.file]
    for block in page:
        if block.file:
            continue
        if block.runs and block.kind == "python":
            found.append(
                Step(f"python - <<'END_OF_PYTHON'\n{block.body}END_OF_PYTHON\n", block.line)
            )
        elif block.runs:
            typed, shown = session(block.body) if block.kind == "console" else (block.body, [])
            found.append(Step(typed, block.line, shown=shown))
        elif block.mark == "output":
            found[-1].expected, found[-1].compared = json.loads(block.body), True
    return found


def session(body: str) -> tuple[str, list[str]]:
    """The commands that a person types in a console session, and the lines that are shown."""
    typed, shown, going_on = [], [], False
    for line in body.splitlines():
        if line.startswith("$ ") or going_on:
            typed.append(line.removeprefix("$ ").removeprefix("> " if going_on else ""))
            going_on = line.endswith("\\")
        elif line.strip():
            shown.append(line)
    return "\n".join(typed) + "\n", shown


def script(plan: list[Step], ports: dict[str, int], outputs: Path) -> str:
    """One bash script: every block's output goes to its own file."""
    parts = [_part(number, step, ports, outputs) for number, step in enumerate(plan)]
    return PROLOGUE + "\n".join(parts) + "\n"


def _part(number: int, step: Step, ports: dict[str, int], outputs: Path) -> str:
    body = step.commands
    for default, port in ports.items():
        body = re.sub(rf"\b{default}\b", str(port), body)
    if step.file:
        return f"cat >{shlex.quote(step.file)} <<'END_OF_FILE'\n{body}END_OF_FILE"
    if not body.startswith("python - <<"):
        body = "\n".join(_command(line, ports, outputs) for line in _lines(body))
    return f"{{\n{body}\n}} >{shlex.quote(str(outputs / str(number)))}"


def _lines(commands: str) -> list[str]:
    return commands.replace("\\\n", " ").splitlines()


def _command(line: str, ports: dict[str, int], outputs: Path) -> str:
    if SERVER.match(line.strip()) and "--help" not in line:
        log = shlex.quote(str(outputs / "server.log"))
        started = line.partition(" #")[0].strip().rstrip("&").strip()
        return f"{started} >{log} 2>&1 &\nawait_server $! {ports[PORTS[0]]} {log}"
    if wanted := STATUS.search(line):
        return f"code=0; {line[: wanted.start()]} || code=$?; ended_with {wanted[1]}"
    return line


PROLOGUE = f"""
set -euo pipefail
trap 'code=$?; kill -KILL $(jobs -p) 2>/dev/null || true; wait || true; exit $code' EXIT
await_server() {{
  until command curl -sfo /dev/null "http://127.0.0.1:$2/v2/health/ready"; do
    kill -0 "$1" 2>/dev/null || {{ echo "the server is not ready:" >&2; cat "$3" >&2; exit 1; }}
    sleep 0.1
  done
  {shlex.quote(sys.executable)} {shlex.quote(str(TRAFFIC))} "$2" >&2 || {{ cat "$3" >&2; exit 1; }}
}}
ended_with() {{
  [ "$code" = "$1" ] || {{ echo "exit status $code, the page says $1" >&2; exit 1; }}
}}
curl() {{  # an answer of 400 or above is a failure
  command curl --fail-with-body "$@"
}}
penstock() {{  # labels go to the prediction port, which is another one here
  if [ "$1" = feedback ]; then set -- "$@" --url "http://127.0.0.1:$PENSTOCK_PORT"; fi
  command penstock "$@"
}}
"""


def run(
    page: list[Any], directory: Path, outputs: Path, python: Path = Path(sys.executable)
) -> list[str]:
    """Execute the blocks of a page in a directory; returns what went wrong.

    Args:
        page: Its blocks.
        directory: Where the commands run.
        outputs: Where their outputs and the log of the server go.
        python: Interpreter beside which the commands are found.
    """
    plan = steps(page)
    ports = dict(zip(PORTS, free_ports(), strict=True))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")
    } | {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "PENSTOCK_PORT": str(ports["8000"]),
        "PENSTOCK_ADMIN_PORT": str(ports["8001"]),
        "PENSTOCK_MONITOR_PRIORITY": "low",  # it has its turn on a busy machine, too
        "PENSTOCK_SETTLE_SECONDS": "0.1",  # nobody writes into the copies of the models
        "PENSTOCK_LOAD_TRIALS": "false",  # these models are sound, and a trial costs a second
        "XDG_RUNTIME_DIR": str(directory),  # so that "the server that runs here" is this one
        "COLUMNS": "200",
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
        last = max((int(one.name) for one in outputs.iterdir() if one.name.isdigit()), default=0)
        said = (outputs / "errors").read_text()
        return [f"line {plan[last].line}: bash ended with {code}: {said}"]
    return [
        line for number, step in enumerate(plan) for line in _wrong(step, outputs / str(number))
    ]


def _wrong(step: Step, output: Path) -> list[str]:
    if step.compared:
        found = differences(step.expected, json.loads(output.read_bytes()))
    else:
        found = unprinted(step.shown, output.read_text()) if step.shown else []
    return [f"line {step.line}: {one}" for one in found]


def unprinted(shown: list[str], output: str) -> list[str]:
    """The lines that a page shows and that no line of the output is like, in this order.

    ``…`` stands for any text; how many blanks there are does not matter.
    """
    lines = iter([" ".join(line.split()) for line in output.splitlines()])
    found = []
    for line in shown:
        parts = (re.escape(" ".join(part.split())) for part in line.split("…"))
        pattern = re.compile(r".*".join(parts).replace(r"\ ", " *"))
        if not any(pattern.search(one) for one in lines):
            found.append(f"{line!r} is not printed, or not there; the output is\n{output}")
            break
    return found


def differences(expected: Any, actual: Any, at: str = "$") -> list[str]:
    """Where an answer is not what the page shows. ``"..."`` stands for any value."""
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
    return [] if same else [f"{at} is {actual!r}, the page says {expected!r}"]


def free_ports() -> list[int]:
    with contextlib.ExitStack() as probes:
        found = []
        for _ in PORTS:
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(probe.getsockname()[1])
        return found
