"""Take the pictures of the console that the pages show: `make screenshots`.

Serves the example models, sends them the example data and their labels in a fixed order, and takes
pictures of the pages with the system's Chromium. Times and latencies are those of the run.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Page

HERE = Path(__file__).resolve().parent
IMAGES = HERE.parent / "docs" / "images"
ROWS = 12
#: Of a request to a server that is loading.
TRIES = 60
#: Of traffic: at least, for some minutes of the sparkline; until drift was judged; at most.
LEAST_SECONDS = 190.0
MOST_SECONDS = 240.0
MODEL_TOML = """
[monitoring]
window = "1s"
window_rows = 100
learning_time = "2s"
baseline_time = 0
min_rows = 50
calibration_windows = 0
"""
CHURN = "breast-cancer"
#: Name of the picture, page, width, height, colours.
SHOTS = (
    ("console-overview", "", 1180, 700, "light"),
    ("console-overview-dark", "", 1180, 700, "dark"),
    ("console-model", f"models/{CHURN}", 1180, 1000, "light"),
    ("console-drift", f"models/{CHURN}/drift", 1180, 1000, "light"),
    ("console-prediction", "predictions/one?request_id={}", 1180, 900, "light"),
    ("console-query", "query", 1180, 900, "light"),
    ("console-small", "", 360, 740, "light"),
)


#: Those that the pages show; the others are taken to be looked at.
SHOWN = ("console-overview", "console-drift")


class Server:
    """A running ``penstock serve``.

    Args:
        state: Its state directory.
        text: What it printed when it was ready.
    """

    def __init__(self, state: Path, text: str) -> None:
        self.state = state
        self.url = _address(r"docs +(\S+)/docs", text)
        self.admin_url = _address(r"metrics +(\S+)/metrics", text)

    def ask(self, url: str, body: object = None) -> tuple[str, Any]:
        """Send JSON; gives the request id and the answer."""
        data = None if body is None else json.dumps(body).encode()
        token = (self.state / "admin-token").read_text().strip()
        headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
        request = urllib.request.Request(url, data, headers)  # noqa: S310
        for left in range(TRIES, 0, -1):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310  our own
                    return answer.headers.get("x-request-id", ""), json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE or left == 1:
                    raise
                time.sleep(0.5)  # it is still loading
        raise AssertionError


def _address(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, text
    return found[1]


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """A server of the example models for as long as the block lasts."""
    registry, state = folder / "models", folder / "state"
    shutil.copytree(HERE / "registry", registry)
    (registry / CHURN / "model.toml").write_text(MODEL_TOML)
    command = [sys.executable, "-m", "penstock.server.cli.main", "serve", registry.name]
    command += ["--port", "0", "--admin-port", "0", "--state-dir", str(state)]
    command += ["--run-dir", str(folder / "run"), "--sample-rate", "1"]
    with subprocess.Popen(  # noqa: S603  our own command
        command, stdout=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if line.startswith("  workers "):
                break
        try:
            yield Server(state, text)
        finally:
            process.terminate()
            process.wait(30)


def rows_of(name: str) -> tuple[list[list[float]], list[str]]:
    """Rows and truths of an example's data, in a fixed order."""
    with (HERE / "data" / f"{name}.csv").open() as file:
        _, *table = csv.reader(file)
    random.Random(7).shuffle(table)  # noqa: S311  the same each time
    return [[float(one) for one in row[:-1]] for row in table], [row[-1] for row in table]


def send(server: Server) -> str:
    """Traffic and labels of the examples, until drift was judged; gives the id of one request."""
    models = {CHURN: rows_of(CHURN), "digits": rows_of("digits")}
    identity, turn, began = "", 0, time.monotonic()
    while not _enough(server, time.monotonic() - began):
        for model, (rows, truths) in models.items():
            start = turn * ROWS % (len(rows) - ROWS)
            labels = []
            for row, truth in zip(rows[start:], truths[start : start + ROWS], strict=False):
                tensor = {"name": "features", "datatype": "FP32", "shape": [1, len(row)]}
                body = {"inputs": [{**tensor, "data": row}]}
                found, _ = server.ask(f"{server.url}/v2/models/{model}/infer", body)
                labels.append({"request_id": found, "label": int(truth)})
                identity = found if model == CHURN and not identity else identity
            server.ask(f"{server.url}/v1/feedback", labels)
        turn += 1
        time.sleep(0.1)
    return identity


def _enough(server: Server, seconds: float) -> bool:
    if seconds < LEAST_SECONDS:
        return False
    _, found = server.ask(f"{server.admin_url}/admin/models/{CHURN}/drift")
    return any(one["features"] for one in found["versions"]) or seconds > MOST_SECONDS


def take(page: Page, server: Server, folder: Path, identity: str, names: Sequence[str]) -> None:
    """Take pictures of these names."""
    _, link = server.ask(f"{server.admin_url}/admin/console/links", {})
    page.goto(server.admin_url + link["path"])
    for name, path, width, height, scheme in SHOTS:
        if name not in names:
            continue
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(f"{server.admin_url}/console/{path.format(identity)}")
        if path == "query":
            page.get_by_role("button", name="Run").click()
            page.get_by_text("2 rows").wait_for()
        page.screenshot(path=folder / f"{name}.png")
        print(folder / f"{name}.png")


def main() -> None:
    """Serve, send, take."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=IMAGES, metavar="DIR")
    parser.add_argument("--all", action="store_true", help="also those that no page shows")
    options = parser.parse_args()
    output = options.output
    names = [name for name, *_ in SHOTS] if options.all else SHOWN
    output.mkdir(parents=True, exist_ok=True)
    program = shutil.which("chromium")
    if program is None:
        sys.exit("chromium is not installed")
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder, served(Path(folder)) as server:
        identity = send(server)
        with sync_playwright() as playwright:
            flags = ["--no-sandbox", "--hide-scrollbars"]
            browser = playwright.chromium.launch(executable_path=program, args=flags)
            take(browser.new_page(device_scale_factor=1.25), server, output, identity, names)
            browser.close()


if __name__ == "__main__":
    main()
