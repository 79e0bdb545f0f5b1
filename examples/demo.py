"""Serve the example models with the real command and send them data they have never seen.

make demo                  serve, predict, then keep serving until Ctrl-C
make demo ARGS=--exit      end when the predictions are done
"""

from __future__ import annotations

import argparse
import csv
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"
PORT = 8000
ADMIN_PORT = 8001
START_SECONDS = 90.0
STOP_SECONDS = 15.0
SHOWN_ROWS = 8
INK = 8  # a pixel of the digits goes from 0 to 16


@dataclass(frozen=True)
class Answer:
    """One held-out row, what the served model says about it, and what is true."""

    features: Sequence[float]
    truth: int
    label: int
    confidence: float
    version: str
    milliseconds: float

    @property
    def right(self) -> bool:
        """Whether the model got it."""
        return self.label == self.truth


class DemoError(Exception):
    """The demo cannot go on; the message is for its user."""


def free_port(wanted: int) -> int:
    """``wanted`` if nobody listens there, else one that the system picks."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError("no free TCP port on this machine")


@contextmanager
def served(registry: Path, port: int) -> Iterator[Server]:
    """Run ``penstock serve`` for as long as the block lasts."""
    command = [str(Path(sys.executable).with_name("penstock")), "serve", str(registry)]
    ports = ["--host", HOST, "--port", str(port), "--admin-port", str(free_port(ADMIN_PORT))]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603  our own command
            [*command, *ports],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the demo, which then stops the server
        )
        try:
            yield Server(process, port, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(frozen=True)
class Server:
    """The running command."""

    process: subprocess.Popen[bytes]
    port: int
    log: IO[bytes]

    def wait_until_ready(self) -> None:
        """Ask until it says yes."""
        give_up = time.monotonic() + START_SECONDS
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise DemoError(f"the server did not become ready; {self._said()}")
            time.sleep(0.05)

    def wait_until_ended(self) -> None:
        """Returns never, unless something goes wrong; Ctrl-C raises KeyboardInterrupt."""
        self.process.wait()
        raise DemoError(f"the server ended by itself; {self._said()}")

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=1)
        try:
            connection.request("GET", "/v2/health/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):  # not listening yet
            return False
        finally:
            connection.close()

    def _said(self) -> str:
        self.log.seek(0)
        return "it said:\n" + self.log.read().decode(errors="replace").strip()


def held_out(model: str) -> list[tuple[list[float], int]]:
    """Rows the model was not trained on, with the truth."""
    with (HERE / "data" / f"{model}.csv").open(newline="") as file:
        rows = [[float(value) for value in row] for row in list(csv.reader(file))[1:]]
    return [(row[:-1], int(row[-1])) for row in rows]


def infer_request(features: Sequence[float]) -> dict[str, Any]:
    """One row as an Open Inference Protocol v2 request."""
    tensor = {"name": "features", "datatype": "FP32", "shape": [1, len(features)]}
    return {"inputs": [{**tensor, "data": features}]}


def ask(connection: http.client.HTTPConnection, model: str) -> list[Answer]:
    """Send every held-out row, one request each, one after the other."""
    answers = []
    for features, truth in held_out(model):
        body = json.dumps(infer_request(features))
        start = time.perf_counter()
        connection.request(
            "POST", f"/v2/models/{model}/infer", body, {"content-type": "application/json"}
        )
        response = connection.getresponse()
        content = response.read()
        milliseconds = (time.perf_counter() - start) * 1e3
        if response.status != http.HTTPStatus.OK:
            raise DemoError(f"{model} answered {response.status}: {content.decode()}")
        answer = json.loads(content)
        outputs = {output["name"]: output["data"] for output in answer["outputs"]}
        label = int(outputs["label"][0])
        confidence = max(outputs["probabilities"])
        version = str(answer["model_version"])
        answers.append(Answer(features, truth, label, confidence, version, milliseconds))
    return answers


def excerpt(answers: Sequence[Answer]) -> list[Answer]:
    """A few rows to look at: spread evenly, with one mistake where there is any."""
    shown = list(answers[:: max(1, len(answers) // SHOWN_ROWS)][:SHOWN_ROWS])
    if all(answer.right for answer in shown):
        shown[-1] = next((answer for answer in answers if not answer.right), shown[-1])
    return shown


def diagnoses(answers: Sequence[Answer]) -> Table:
    """The breast-cancer answers, one line each."""
    names = ("malignant", "benign")
    headings = "radius, texture, … (30)", Column("prediction", min_width=17), "truth"
    numbers = (Column(name, justify="right") for name in ("version", "latency"))
    table = Table(*headings, *numbers, box=None, padding=(0, 1), header_style="dim")
    for answer in excerpt(answers):
        style = "green" if answer.right else "bold red"
        table.add_row(
            ", ".join(f"{value:g}" for value in answer.features[:3]) + ", …",
            f"[{style}]{names[answer.label]}[/] {answer.confidence:.1%}",
            names[answer.truth] if answer.right else f"[{style}]{names[answer.truth]}[/]",
            answer.version,
            f"{answer.milliseconds:.2f} ms",
        )
    return table


def picture(pixels: Sequence[float]) -> str:
    """8 x 8 pixels as 8 x 4 characters; each holds an upper and a lower pixel."""
    dark = [[pixels[8 * row + column] >= INK for column in range(8)] for row in range(8)]
    return "\n".join(
        "".join(" ▄▀█"[2 * up + low] for up, low in zip(dark[row], dark[row + 1], strict=True))
        for row in range(0, 8, 2)
    )


def digits(answers: Sequence[Answer]) -> Table:
    """The digits as pictures with what the model reads in them."""
    table = Table.grid(padding=(0, 0, 0, 2))
    shown = excerpt(answers)
    table.add_row(*(picture(answer.features) for answer in shown))
    table.add_row(
        *(
            f"[green]  read {answer.label}[/]"
            if answer.right
            else f"[bold red]{answer.label}, is {answer.truth}[/]"
            for answer in shown
        )
    )
    return table


def summary(model: str, answers: Sequence[Answer]) -> str:
    """Accuracy and latency over all rows."""
    right = sum(answer.right for answer in answers)
    times = sorted(answer.milliseconds for answer in answers)
    versions = ", ".join(sorted({answer.version for answer in answers}))
    return (
        f"[bold]{model}[/] version {versions}: [bold]{right / len(answers):.1%} right[/] "
        f"on {len(answers)} held-out rows\n"
        f"[dim]latency, one request after the other: p50 {times[len(times) // 2]:.2f} ms, "
        f"p99 {times[len(times) * 99 // 100]:.2f} ms[/]"
    )


def invitation(port: int) -> str:
    """Where to go from here."""
    url = f"http://{HOST}:{port}"
    features, _ = held_out("breast-cancer")[0]
    body = json.dumps(infer_request(features), separators=(",", ":"))
    return (
        f"[bold]Try it yourself[/]\n\n"
        f"  API documentation  {url}/docs\n"
        f"  metrics            {url}/metrics\n\n"
        f"curl {url}/v2/models/breast-cancer/infer "
        f"-H 'content-type: application/json' -d '{body}'\n"
    )


def registry(place: str) -> Path:
    """The examples of ONNX and of trees, in one directory."""
    both = shutil.copytree(HERE / "registry", Path(place, "models"))
    return shutil.copytree(HERE / "trees", both, dirs_exist_ok=True)


def run(console: Console, port: int, *, stay: bool) -> None:
    """The whole demo."""
    chosen = free_port(port)
    if chosen != port != 0:
        console.print(f"[yellow]Port {port} is taken; using {chosen}.[/]")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as place, served(registry(place), chosen) as server:
        with console.status("Starting the server …"):
            server.wait_until_ready()
        _report(console, chosen, time.perf_counter() - started)
        if stay:
            console.print("Serving until Ctrl-C.", style="dim")
            server.wait_until_ended()


def _report(console: Console, port: int, seconds: float) -> None:
    """Predict and show."""
    console.print(
        f"Serving [bold]examples/registry[/] and [bold]trees[/], ready after {seconds:.1f} s.\n"
    )
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    for model, show in (("breast-cancer", diagnoses), ("digits", digits)):
        answers = ask(connection, model)
        console.print(summary(model, answers), "", show(answers), "", sep="\n", highlight=False)
    connection.close()
    trees = [sys.executable, str(HERE / "demo_trees.py"), f"http://{HOST}:{port}"]
    subprocess.run(trees, check=True)  # noqa: S603  our own command
    console.print(invitation(port), highlight=False, soft_wrap=True)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Serve the example models and use them.")
    parser.add_argument("--port", type=int, default=PORT, help=f"where to serve (default {PORT})")
    parser.add_argument("--exit", action="store_true", help="do not keep serving")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop the server then as well
    try:
        run(Console(), arguments.port, stay=not arguments.exit)
    except KeyboardInterrupt:
        pass
    except DemoError as error:
        sys.exit(f"demo: {error}")


if __name__ == "__main__":
    main()
