"""Penstock's drift rule and other libraries on the same streams, at equal false alarms.

``python -m penstock.loadtests.peers.drift_peers`` installs Evidently, NannyML and river, each into
an environment of its own, and prints a table for each kind of stream of `drift_streams`. Penstock
is `penstock.monitoring.drift.assess` as shipped. Each peer is shown three times: with its defaults;
with the highest score of its baseline's windows as threshold, so that it has seen what Penstock has
seen; and with the laxest threshold that raises one alarm a month (what Penstock promises at most)
in the very healthy traffic that is counted, which favours it. A window is flagged if any column is;
an alarm opens with the first flagged window and is over after three that are not. Found is a change
after which an alarm opens within a day. Takes about 15 minutes of one core; ``--seeds 1`` half.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from penstock.loadtests.drift_alarms import Finding, Scores, at_most, finding, learnt
from penstock.loadtests.drift_streams import (
    AFTER,
    BEFORE,
    CHANGES,
    HALF_MONTH,
    WEEK,
    Kind,
    Traffic,
    traffic,
)
from penstock.monitoring.drift import assess
from penstock.monitoring.drift.rows import Rows

from .environments import InstallFailed, install, installed_versions
from .peers import SERVICES, Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

PEERS: Final = (
    Environment("evidently", ("evidently==0.7.23", "pandas<3", "numpy==2.4.6")),
    Environment("nannyml", ("nannyml==0.13.1", "pandas<3", "numpy==2.4.6", "statsmodels")),
    Environment("river", ("river==0.26.1", "numpy==2.4.6")),
)
OURS: Final = "Penstock"
_DETECTORS: Final = SERVICES / "drift_detectors.py"
_SECONDS: Final = 3600.0
_LEVEL: Final = 0.05
_LEAST_EXPECTED: Final = 5.0
#: SciPy's tests and Evidently have each eighth row of a baseline (10,500), for time.
_STEP: Final = 8

#: The settings of each rule on one stream.
Answers = dict[str, list[Scores]]
#: What a rule does by default, as learnt from the baseline, and with one alarm a month.
Findings = tuple[Finding, "Finding | None", "Finding | None"]


def ours(stream: Traffic) -> Scores:
    """Flags of the windows in which an incident of Penstock is open."""
    base = Rows(_columns(stream.baseline, stream.kind), 0.0, WEEK * _SECONDS)
    healthy = [_rows(one, stream.kind, WEEK + place) for place, one in enumerate(stream.healthy)]
    trials = [
        [
            _rows(one, stream.kind, start + place, clients[place])
            for place, one in enumerate(windows)
        ]
        for windows, start, clients in zip(
            stream.trials, stream.starts, stream.clients, strict=True
        )
    ]
    return Scores(0.5, _open(base, healthy), [_open(base, one) for one in trials])


def scipy_tests(stream: Traffic) -> tuple[str, Scores]:
    """Kolmogorov and Smirnov's test of each column of numbers, chi-squared of one of words."""
    known = stream.baseline[:, ::_STEP]
    if stream.kind is Kind.TEXT:
        from scipy.stats import chi2  # in the extra `test` only

        base = [np.bincount(one) for one in known]
        limit, name = float(-np.log(_LEVEL)), "SciPy, chi-squared"

        def away(column: int, values: NDArray[Any]) -> float:
            statistic, freedom = _chi_squared(base[column], values)
            return float(-chi2.logsf(statistic, freedom))
    else:
        from scipy.special import kolmogi
        from scipy.stats import ks_2samp

        ordered = np.sort(known, axis=1)
        limit, name = float(kolmogi(_LEVEL)), "SciPy, Kolmogorov-Smirnov"

        def away(column: int, values: NDArray[Any]) -> float:
            rows, before = len(values), ordered.shape[1]
            statistic, _ = tuple(ks_2samp(ordered[column], values, method="asymp"))
            return float(statistic) * float(np.sqrt(rows * before / (rows + before)))

    def score(window: NDArray[Any]) -> float:
        return max(away(column, values) for column, values in enumerate(window))

    trials = [[score(one) for one in trial] for trial in stream.trials]
    healthy, week = ([score(one) for one in windows] for windows in (stream.healthy, stream.week))
    return name, Scores(limit, healthy, trials, week)


def ask(peer: Environment, stream: Traffic) -> Answers:
    """What a library says of a stream.

    Raises:
        RuntimeError: It failed; with the end of its output.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "streams.npz"
        np.savez(
            path,
            week=stream.week,
            healthy=stream.healthy,
            trials=stream.trials,
            words=stream.kind is Kind.TEXT,
        )
        done = subprocess.run(
            [str(peer.python), str(_DETECTORS), peer.name, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-1000:])
    answer: dict[str, list[dict[str, Any]]] = json.loads(done.stdout.splitlines()[-1])
    return {name: [Scores(**one) for one in settings] for name, settings in answer.items()}


def shown(kind: Kind, found: Mapping[str, Findings]) -> Table:
    """Findings for people."""
    table = Table(title=f"{kind}; change: {CHANGES[kind]}", show_lines=True)
    for heading in ("rule", "default", "learnt from the baseline", "one alarm a month"):
        table.add_column(heading)
    for name, findings in found.items():
        table.add_row(name, *map(_cell, findings))
    return table


def _cell(found: Finding | None) -> str:
    """Alarms a month and days in alarm, changes found and the median delay, with intervals."""
    if found is None:
        return ""
    from scipy.stats import binomtest, chi2

    low = chi2.ppf(0.025, 2 * found.alarms) / 2 if found.alarms else 0.0
    high = chi2.ppf(0.975, 2 * found.alarms + 2) / 2
    rate, low, high, days = (
        one / found.months for one in (found.alarms, low, high, found.days)
    )  # fmt: skip
    exact = binomtest(len(found.delays), found.trials).proportion_ci(method="exact")
    number, interval = len(found.delays), f"{exact.low:.0%} to {exact.high:.0%}"
    median = f", median {statistics.median(found.delays):g} h" if found.delays else ""
    return (
        f"{rate:g} a month ({low:.1f} to {high:.1f}), {days:g} days\n"
        f"found {number}/{found.trials} ({interval}){median}"
    )


def compare(
    kind: Kind,
    seeds: Sequence[int],
    trials: int,
    peers: Sequence[Environment],
    tell: Callable[[str], None] = print,
) -> dict[str, Findings]:
    """What each rule does on one kind of stream.

    Args:
        kind: Of the rows.
        seeds: Of streams, each with a week, half a month and trials.
        trials: Changes of each seed.
        peers: Those that are installed.
        tell: Takes the name of a peer that failed, and why.
    """
    answers: dict[str, list[list[Scores]]] = {}
    for seed in seeds:
        stream = traffic(kind, seed, trials)
        name, tested = scipy_tests(stream)
        found: Answers = {OURS: [ours(stream)], name: [tested]}
        for peer in peers:
            try:
                found |= ask(peer, stream)
            except RuntimeError as error:
                tell(f"{peer.name} failed on {kind}: {error}")
        for rule, settings in found.items():
            answers.setdefault(rule, []).append(settings)
    return {
        rule: (
            finding([one[0] for one in settings]),
            learnt([one[-1] for one in settings]),
            None if rule == OURS else at_most(settings, 1),
        )
        for rule, settings in answers.items()
    }


def _open(base: Rows, windows: Sequence[Rows]) -> list[float]:
    """1 for each window in which an incident is open, counted as an alarm of the other rules."""
    found = [0.0] * len(windows)
    for one in assess(base, windows).incidents:
        end = len(windows) if one.closed is None else max(one.opened + 1, one.closed - 2)
        found[one.opened : end] = [1.0] * (end - one.opened)
    return found


def _rows(
    window: NDArray[Any], kind: Kind, place: int, clients: NDArray[np.int64] | None = None
) -> Rows:
    names = None if clients is None else [f"10.0.0.{one}" for one in clients.tolist()]
    return Rows(_columns(window, kind), place * _SECONDS, (place + 1) * _SECONDS, names)


def _columns(values: NDArray[Any], kind: Kind) -> dict[str, NDArray[Any]]:
    found = np.char.add("w", values.astype(str)).astype(object) if kind is Kind.TEXT else values
    return {f"x{place}": one for place, one in enumerate(found)}


def _chi_squared(before: NDArray[np.int64], values: NDArray[np.int64]) -> tuple[float, int]:
    """Statistic and degrees of freedom; words too rare to be expected five times are one."""
    size = max(before.size, int(values.max()) + 1)
    old = np.bincount(np.repeat(np.arange(before.size), before), minlength=size)
    new = np.bincount(values, minlength=size)
    rare = (old + new) * new.sum() / (old.sum() + new.sum()) < _LEAST_EXPECTED
    both = np.stack([
        np.append(one[~rare], one[rare].sum()) for one in (old, new)
    ])  # fmt: skip
    both = both[:, both.sum(axis=0) > 0]
    expected = both.sum(axis=1, keepdims=True) * both.sum(axis=0) / both.sum()
    return float(((both - expected) ** 2 / expected).sum()), both.shape[1] - 1


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m penstock.loadtests.peers.drift_peers")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="of streams")
    parser.add_argument("--trials", type=int, default=10, help="changes of each seed")
    parser.add_argument("--kinds", nargs="+", choices=[*Kind], default=[*Kind])
    names = [one.name for one in PEERS]
    parser.add_argument("--peers", nargs="*", choices=names, default=names)
    options = parser.parse_args(arguments)
    console, there = Console(width=160), []
    for peer in PEERS:
        if peer.name not in options.peers:
            continue
        try:
            install(peer, console.print)
        except InstallFailed as error:
            console.print(f"{peer.name} cannot be installed, so it is not in the tables: {error}")
        else:
            there.append(peer)
            console.print(f"{peer.name} {installed_versions(peer)[peer.name]}")
    console.print(
        f"Each kind: {len(options.seeds)} streams of a week and {HALF_MONTH} healthy hours, and "
        f"{options.trials} trials each of {BEFORE} healthy and {AFTER} changed hours."
    )
    for kind in options.kinds:
        found = compare(Kind(kind), options.seeds, options.trials, there, console.print)
        console.print(shown(Kind(kind), found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
