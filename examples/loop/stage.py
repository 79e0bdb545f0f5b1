"""One server with its model, as somebody would set it up who wants retraining unattended."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from world import COLUMNS, LABEL, fitted, write_model, write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from traffic import Traffic
    from world import Season

HERE = Path(__file__).resolve().parent
MODEL = "customers"
#: No step takes so long unless something is wrong, on a busy machine, too.
STEP_SECONDS = 180.0
PENSTOCK = [sys.executable, "-m", "penstock.server.cli.main"]
MODEL_TOML = f"""
on_push = "canary"

[rollout]
steps = [20, 100]
hold = "1s"
min_requests = 100
max_bad_percent = 5
watch = 0
warm_up = 0
sticky_header = "x-customer"     # a retrained model scores otherwise, which is no harm by itself

[gates.evaluation]
data = "holdout.csv"
label = "{LABEL}"
metric = "accuracy"
least = 0.8
margin = 0.0

[monitoring]
window = "1s"
window_rows = 300
calibration_windows = 0
client = "nobody"
"""


class StepMissing(Exception):
    """A step of a circle did not happen."""


class Stage:
    """One server, its model and its traffic.

    Args:
        place: Empty directory.
        seed: Of all chance.
    """

    def __init__(self, place: Path, seed: int) -> None:
        self.registry, self.state = place / "models", place / "state"
        self.exports, self.config = place / "exports", place / "penstock.toml"
        self.columns = place / "columns.json"
        self.chance = np.random.default_rng(seed)
        self.began = time.monotonic()
        self.admin = ""
        self.url = ""
        (self.registry / MODEL).mkdir(parents=True)
        (self.registry / MODEL / "model.toml").write_text(MODEL_TOML)
        self.columns.write_text(json.dumps(COLUMNS))
        self.config.write_text(self._server_toml())

    def _server_toml(self) -> str:
        parameters = {"registry": str(self.registry), "columns": str(self.columns)}
        told = ", ".join(f"{key} = {json.dumps(one)}" for key, one in parameters.items())
        command = json.dumps([sys.executable, str(HERE / "train.py")])
        return f"""
[[retrain]]
model = "{MODEL}"
on = ["drift"]
delay = "4s"                       # by then those who drift have labels
period = "10s"
target = "command"
command = {command}
parameters = {{ {told} }}
export = {json.dumps(str(self.exports))}
poll_seconds = 0.5
"""

    def say(self, text: str) -> None:
        """A line with the time."""
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def first_version(self, season: Season) -> None:
        """Train and publish version 1, with held-out rows."""
        rows, left, _ = season.customers(2000, self.chance)
        model = self.registry.parent / "model.onnx"
        write_model(model, *fitted(rows, left))
        table = self.registry.parent / "training.csv"
        write_table(table, rows, None)
        self.hold_out(season)
        self.penstock("push", self.registry, MODEL, model, "--columns", self.columns)
        self.say("version 1 is pushed")

    def hold_out(self, season: Season) -> None:
        """Replace the held-out rows: who writes them sees what really happened."""
        rows, left, _ = season.customers(2000, self.chance)
        write_table(self.registry / MODEL / "holdout.csv", rows, left)

    def watch(self, version: int, season: Season) -> None:
        """Say what is usual for a version, so that the next shift is seen."""
        rows, _, _ = season.customers(3000, self.chance)
        table = self.registry.parent / "usual.csv"
        write_table(table, rows, None)
        place = ("--admin-url", self.admin, "--state-dir", self.state)
        self.penstock("baseline", "build", MODEL, version, table, *place)

    @staticmethod
    def penstock(*words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of Penstock.

        Raises:
            CalledProcessError: It failed, and `check` is on.
        """
        command = [*PENSTOCK, *map(str, words)]
        return subprocess.run(command, check=check, capture_output=True, text=True)  # noqa: S603  ours

    @contextmanager
    def served(self) -> Iterator[None]:
        """Run the server for as long as the block lasts."""
        command = [*PENSTOCK, "serve", str(self.registry), "--config", str(self.config)]
        command += ["--port", "0", "--admin-port", "0", "--state-dir", str(self.state)]
        with (
            (self.state.parent / "server.log").open("w") as log,
            subprocess.Popen(  # noqa: S603  our own command
                command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            ) as process,
        ):
            assert process.stdout is not None
            text = ""
            for line in process.stdout:
                text += line
                if line.startswith("  workers "):
                    break
            try:
                self.url = _found(r"docs +(\S+)/docs", text)
                self.admin = _found(r"metrics +(\S+)/metrics", text)
                yield
            finally:
                process.terminate()
                process.wait(60)

    def get(self, path: str) -> Any:
        """An answer of the admin port."""
        with urllib.request.urlopen(self.admin + path, timeout=30) as answer:  # noqa: S310  ours
            return json.load(answer)

    def model(self) -> dict[str, Any]:
        """The model in the status."""
        models = self.get("/admin/status")["models"]
        return next((one for one in models if one["name"] == MODEL), {})

    def records(self, action: str) -> list[dict[str, Any]]:
        """The audit records of an action, newest first."""
        records = self.get(f"/admin/models/{MODEL}/history")["records"]
        return [one for one in records if one["action"] == action]

    def until(self, text: str, condition: Callable[[], Any], traffic: Traffic | None = None) -> Any:
        """Wait for a step, and say that it has happened.

        Raises:
            StepMissing: It does not happen.
        """
        end = time.monotonic() + STEP_SECONDS
        while True:
            if found := condition():
                self.say(text.format(found=found))
                return found
            if traffic is not None and traffic.problem:
                raise StepMissing(f"the traffic stopped: {traffic.problem}")
            if time.monotonic() > end:
                raise StepMissing(text.partition("{")[0])
            time.sleep(0.1)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise StepMissing(f"the server did not start: {text}")
    return match[1]
