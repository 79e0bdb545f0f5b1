"""``python -m penstock.loadtests.trials``: bad candidates on real servers, again and again.

A server, open-loop traffic and a canary that fails, answers NaN, fails five times as often as
stable, or takes four times as long: how often it is stopped, after how many bad requests and
seconds, and what callers see. All figures of the candidate are those of the rollout's report.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from .connections import Connections
from .flawed import questions, turns_for, write_flawed
from .managed import HOST, CommandFailed, Managed
from .open import OpenLoop
from .outcome import OK
from .schedule import draw

_CONNECTIONS: Final = 32
_QUESTIONS: Final = 10_000
#: Of traffic, between two looks at how the rollout stands.
_PIECE_SECONDS: Final = 0.5
_TIMEOUT_SECONDS: Final = 60.0
#: The generator shares the machine; how late it is matters little here.
_LAG_LIMIT_SECONDS: Final = 1.0
_STABLE_SECONDS: Final = 0.001
#: Requests of both arms in each step, which is what simulations have.
_STEP_REQUESTS: Final = 3000
_KINDS: Final = ("errors", "timeouts", "invalid", "slow")


@dataclass(frozen=True, slots=True)
class Ailment:
    """What is wrong with a candidate.

    Attributes:
        stable: As `write_flawed` takes it, of the version before.
        canary: Figures of the candidate.
        steps: Steps of the rollout, in percent.
        rate: Requests a second.
    """

    stable: dict[str, Any]
    canary: dict[str, Any]
    steps: tuple[float, ...] = (1.0, 5.0, 25.0, 50.0, 100.0)
    rate: float = 500.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One rollout.

    Attributes:
        phase: In which it ended.
        seconds: From the candidate's first share to the end.
        requests: Requests of the candidate.
        bad: Of those, by kind.
        statuses: What callers got, over the whole time.
        lost: Requests without any answer.
    """

    phase: str
    seconds: float
    requests: int
    bad: dict[str, int]
    statuses: dict[int, int]
    lost: int


def ailments() -> dict[str, Ailment]:
    """By name."""
    turns = turns_for(_STABLE_SECONDS)
    dead = (5.0, 100.0)
    return {
        "dead": Ailment({}, {"errors": 1.0}, dead),
        "nan": Ailment({}, {"invalid": 1.0}, dead),
        "five-times": Ailment({"errors": 0.005}, {"errors": 0.025}),
        "slow": Ailment({"turns": turns}, {"turns": 4 * turns}, rate=250.0),
        "well": Ailment({"errors": 0.005}, {"errors": 0.005}),
    }


def run_trials(directory: Path, ailment: Ailment, repeats: int) -> list[Trial]:
    """Start rollouts one after the other on one server."""
    registry, model = directory / "registry", "flawed"
    write_flawed(registry, model, 1, **ailment.stable)
    write_flawed(registry, model, 2, **ailment.canary)
    options = ("--settle-seconds", "0", "--scan-seconds", "3600")
    with (
        Managed(registry, directory / "server", None, options) as server,
        Connections(HOST, server.port, _CONNECTIONS) as connections,
    ):
        path = f"/v2/models/{model}/infer"
        cases = questions(f"{HOST}:{server.port}", path, _QUESTIONS, seed=1)
        seeds = np.random.default_rng(2)
        found = []
        for _ in range(repeats):
            server.command(f"/admin/models/{model}/versions/1/promote")
            seeds.shuffle(cases)
            loop = OpenLoop(connections, cases, lag_limit_seconds=_LAG_LIMIT_SECONDS)
            # Enough for stable's 99th percentile, from which on an answer is slow.
            loop.run(draw("poisson", ailment.rate, max(1.0, 200 / ailment.rate), seed=0))
            found.append(_trial(server, loop, model, ailment, seeds))
        return found


def _trial(
    server: Managed, loop: OpenLoop, model: str, ailment: Ailment, seeds: np.random.Generator
) -> Trial:
    path = f"/admin/models/{model}/rollout"
    hold = _STEP_REQUESTS / ailment.rate
    terms = {"steps": list(ailment.steps), "hold": hold, "min_requests": 5, "max_bad_percent": 100}
    server.ask("POST", path, {"version": 2, **terms})
    statuses: dict[int, int] = {}
    lost, spent = 0, 0.0
    limit = _TIMEOUT_SECONDS + 2 * hold * len(ailment.steps)
    while not server.ask("GET", path)["final"]:
        seed = int(seeds.integers(1 << 30))
        outcome = loop.run(draw("poisson", ailment.rate, _PIECE_SECONDS, seed=seed))
        spent += _PIECE_SECONDS
        if spent > limit:
            raise CommandFailed(f"the rollout did not end: {server.ask('GET', path)}")
        for status, count in outcome.statuses.items():
            statuses[status] = statuses.get(status, 0) + count
        lost += outcome.broken + outcome.unanswered
    report = server.ask("GET", f"{path}/report")
    ready, *_, end = [one for one in report["timeline"] if one["action"] != "rollout.start"]
    arms = [step["canary"] for step in report["steps"]]
    return Trial(
        report["phase"],
        (_time(end) - _time(ready)).total_seconds(),
        sum(arm["requests"] for arm in arms),
        {kind: sum(arm[kind] for arm in arms) for kind in _KINDS},
        statuses,
        lost,
    )


def _time(record: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(record["time"])


def figures_of(trials: list[Trial]) -> dict[str, float]:
    """Figures, each with its unit in its name; of bad requests, those of the candidate."""
    stopped = [one for one in trials if one.phase == "aborted"]
    figures = {"rollouts": float(len(trials)), "stopped": float(len(stopped))}
    for name, values in (
        ("bad_requests", [sum(one.bad.values()) for one in stopped]),
        ("seconds", [one.seconds for one in stopped]),
    ):
        if values:
            figures |= {
                f"{name}_median": float(np.median(values)),
                f"{name}_p90": float(np.quantile(values, 0.9)),
                f"{name}_most": float(max(values)),
            }
    total = sum(sum(one.statuses.values()) for one in trials)
    failed = total - sum(one.statuses.get(OK, 0) for one in trials)
    return figures | {
        "answered_requests": float(total),
        "requests_of_the_candidate": float(sum(one.requests for one in trials)),
        "errors_that_callers_saw": float(failed + sum(one.lost for one in trials)),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        prog="python -m penstock.loadtests.trials", description=__doc__
    )
    known = ailments()
    parser.add_argument("ailments", nargs="*", metavar="AILMENT", help=", ".join(known))
    parser.add_argument("--repeats", type=int, default=10, help="rollouts of each")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args(arguments)
    unknown = set(options.ailments) - set(known)
    if unknown:
        parser.error(f"no ailment {', '.join(sorted(unknown))}; expected {', '.join(known)}")
    console, every = Console(), {}
    for name in options.ailments or known:
        with tempfile.TemporaryDirectory(prefix="trials-") as directory:
            every[name] = figures_of(run_trials(Path(directory), known[name], options.repeats))
        table = Table(title=f"candidate: {name}", title_justify="left", show_header=False)
        for key, value in every[name].items():
            table.add_row(key.replace("_", " "), f"{value:,.3f}".rstrip("0").rstrip("."))
        console.print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(every, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
