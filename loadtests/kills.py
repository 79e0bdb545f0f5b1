"""``python -m penstock.loadtests.kills``: kill -9 amid admin calls, again and again.

Each round starts a server on the state that the last one left, sends a command while callers
predict, and kills control or a worker at a random moment. Then the state must be whole: the
command took place or it did not, the workers serve what the state says, and the audit chain
verifies. Of the predictions none may fail, but for those that a killed worker had: at most one on
each of the connections.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .callers import BROKEN, Callers

_PENSTOCK = (sys.executable, "-m", "penstock.server.cli.main")
_TIMEOUT_SECONDS = 20.0
_CALLERS = 4


class Round:
    """One life of a server.

    Args:
        registry: Registry of one model with versions 1 and 2.
        state: Directory that goes on from round to round.
        run: Directory for this life.
    """

    def __init__(self, registry: Path, state: Path, run: Path) -> None:
        places = ("--run-dir", run, "--state-dir", state, "--port", "0", "--admin-port", "0")
        command = [*_PENSTOCK, "serve", registry, "--workers", "2", *places]
        self.process = subprocess.Popen(
            [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        banner = ""
        for line in self.process.stdout:
            banner += line
            if line.startswith("  workers "):
                break
        self.url = _found(r"docs +(\S+)/docs", banner)
        self.admin_url = _found(r"metrics +(\S+)/metrics", banner)
        self.token = (state / "admin-token").read_text().strip()

    def ask(self, method: str, path: str) -> Any:
        """One admin request."""
        request = urllib.request.Request(self.admin_url + path, method=method)  # noqa: S310  our own
        request.add_header("authorization", f"Bearer {self.token}")
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  our own
            return json.loads(answer.read())

    def settled(self) -> dict[str, Any]:
        """The status once every worker has followed."""
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            with suppress(OSError):
                status: dict[str, Any] = self.ask("GET", "/admin/status")
                if status["converged"]:
                    return status
            time.sleep(0.02)
        raise SystemExit("the workers never followed")

    def answering(self, model: str) -> list[str]:
        """Which versions answer; asked often enough to meet every worker."""
        url = f"{self.url}/v2/models/{model}"
        found = set()
        for _ in range(10):
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  our own
                found.add(json.loads(answer.read())["parameters"]["version"])
        return sorted(found)

    def kill(self, name: str) -> None:
        """Kill -9 a child."""
        pid = self.process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            if name.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                os.kill(int(child), signal.SIGKILL)

    def stop(self) -> None:
        """End it, whatever state it is in."""
        self.process.terminate()
        self.process.communicate(timeout=60)


def main() -> int:
    """Run the rounds; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, prog="penstock.loadtests.kills")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--model", type=Path, default=Path("examples/registry/breast-cancer"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    took = 0
    answers: Counter[str] = Counter()
    failures: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory(prefix="penstock-kills-") as name:
        place = Path(name)
        shutil.copytree(options.model, place / "registry" / options.model.name)
        for number in range(options.rounds):
            outcome = _round(place, options.model.name, dice, number)
            took += outcome.took_place
            answers[outcome.victim] += outcome.answers
            for cause, count in outcome.failures.items():
                failures[outcome.victim, cause] += count
        verified = subprocess.run(
            [*_PENSTOCK, "audit", "verify", str(place / "state" / "audit")], check=False
        )
    print(f"{options.rounds} kills: {took} commands took place, the others did not; state whole")
    for victim, count in sorted(answers.items()):
        lost = {cause: n for (of, cause), n in failures.items() if of == victim}
        print(f"{victim} killed: {count} predictions answered, not answered: {lost or 'none'}")
    return verified.returncode


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one round.

    Attributes:
        victim: Who was killed.
        took_place: Whether the command did.
        answers: Predictions that were answered.
        failures: Those that were not, by cause.
    """

    victim: str
    took_place: bool
    answers: int
    failures: Counter[str]


def _round(place: Path, model: str, dice: random.Random, number: int) -> Outcome:
    server = Round(place / "registry", place / "state", place / f"run-{number}")
    try:
        before = server.settled()["generation"]
        version, victim = 1 + number % 2, dice.choice(("control", "control", "worker-0"))
        path = f"/admin/models/{model}/versions/{version}/promote"
        command = threading.Thread(target=_try, args=(server, path))
        with Callers(server.url, model, _CALLERS) as callers:
            _enough(callers, number)
            command.start()
            time.sleep(dice.uniform(0, 0.015))
            server.kill(victim)
            command.join()
            after = server.settled()
            _enough(callers, number)
        _check_predictions(callers, victim, number)
        [aliases] = [one["aliases"] for one in after["models"]]
        stable = aliases.get("stable", {}).get("version", 2)
        if server.answering(model) != [str(stable)]:
            raise SystemExit(f"round {number}: stable is {stable}, others answer")
        if after["generation"] > before and stable != version:
            raise SystemExit(f"round {number}: a change of another kind took place")
        took_place = bool(after["generation"] > before)
        return Outcome(victim, took_place, callers.answers.total(), callers.failures)
    finally:
        server.stop()


def _enough(callers: Callers, number: int) -> None:
    """Let so many more predictions be answered that all callers surely take part."""
    target = callers.answers.total() + 10 * _CALLERS
    if not callers.wait(lambda: callers.answers.total() >= target):
        raise SystemExit(f"round {number}: predictions came to an end: {callers.failures}")


def _check_predictions(callers: Callers, victim: str, number: int) -> None:
    allowed = 0 if victim == "control" else _CALLERS
    others = callers.failures.total() - callers.failures[BROKEN]
    if others or callers.failures[BROKEN] > allowed:
        raise SystemExit(f"round {number}: {victim} killed, and of predictions {callers.failures}")
    if not set(callers.answers) <= {1, 2}:
        raise SystemExit(f"round {number}: answers of versions {sorted(callers.answers)}")


def _try(server: Round, path: str) -> None:
    with suppress(OSError, http.client.HTTPException):  # its connection may be cut
        server.ask("POST", path)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"the server did not start:\n{text}")
    return match[1]


if __name__ == "__main__":
    sys.exit(main())
