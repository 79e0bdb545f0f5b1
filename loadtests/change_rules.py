"""Rules that see a fall of the accuracy, at the same false alarms: how soon each does.

``python -m penstock.loadtests.change_rules`` prints a table for each number of labels a day. The
accuracy falls from 0.90 to 0.80 after 1,000 labels as they should be. The rules beside ours know
that it will be just this fall, and get the threshold at which 5 % of simulated months without one
raise an alarm; ours has the threshold that it has in production. The last line is what no rule can
exceed: a month has many stretches of 300 labels, in each of which it may err that seldom, and the
best test of one stretch that is told where it begins is that of Neyman and Pearson.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from penstock.monitoring.feedback.change_evidence import ODDS, WEIGHTS, grow, ratios
from penstock.monitoring.feedback.options import FeedbackOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

HEALTHY: Final = 0.1
FALLEN: Final = 0.2
ALARMS: Final = FeedbackOptions().false_alarms_per_month
SOON: Final = 300
_BEFORE: Final = 1000
_AFTER: Final = 1500
_DAYS: Final = 30
_TOGETHER: Final = 500
_MATCHED: Final = FALLEN * (1 - HEALTHY) / (HEALTHY * (1 - FALLEN))


def statistics(bad: NDArray[np.bool_]) -> Iterator[dict[str, Floats]]:
    """What each rule compares with its threshold, label after label.

    Args:
        bad: Runs x labels.
    """
    runs = len(bad)
    p = np.full(runs, HEALTHY)
    pairs = [ratios(p, odds) for odds in (*ODDS, _MATCHED)]
    wrong, right = (np.array(one) for one in zip(*pairs, strict=True))
    evidence = np.zeros((len(pairs), runs))
    page = np.zeros(runs)
    recent = np.zeros(runs)
    for number in range(bad.shape[1]):
        now = bad[:, number]
        ratio = np.where(now, wrong, right)
        evidence = np.minimum(grow(evidence, ratio), 1e300)
        page = np.maximum(0.0, page + np.log(ratio[-1]))
        recent = recent + now - (bad[:, number - SOON] if number >= SOON else 0)
        yield {
            "Penstock": np.array(WEIGHTS) @ evidence[:-1],
            "Shiryaev-Roberts": evidence[-1],
            "CUSUM": page,
            f"bad ones of the last {SOON}": recent,
        }


def compare(labels_a_day: int, runs: int, seed: int = 7) -> dict[str, tuple[float, ...]]:
    """Of each rule: months with a false alarm, median and 95 % of the delay, share in time."""
    random = np.random.default_rng(seed)
    month = _DAYS * labels_a_day
    highest: dict[str, list[float]] = {}
    for _ in range(0, runs, _TOGETHER):
        found: dict[str, Floats] = {}
        for values in statistics(random.random((_TOGETHER, month), np.float32) < HEALTHY):
            found = {name: np.maximum(one, found.get(name, one)) for name, one in values.items()}
        for name, one in found.items():
            highest.setdefault(name, []).extend(one.tolist())
    # An alarm is above the threshold; counts have ties, and none of them may be too many.
    limits = {
        name: float(np.quantile(one, 1 - ALARMS, method="higher")) for name, one in highest.items()
    }
    limits["Penstock"] = month / ALARMS
    healthy = random.random((runs, _BEFORE), np.float32) < HEALTHY
    fallen = random.random((runs, _AFTER), np.float32) < FALLEN
    first = {name: np.zeros(runs, int) for name in limits}
    for number, values in enumerate(statistics(np.concatenate([healthy, fallen], axis=1)), 1):
        for name, one in values.items():
            first[name][(one > limits[name]) & (first[name] == 0)] = number
    rates: dict[str, tuple[float, ...]] = {}
    for name, alarms in first.items():
        late = np.where(alarms == 0, _BEFORE + _AFTER, alarms)
        delays = late[late > _BEFORE] - _BEFORE
        false = float((np.array(highest[name]) > limits[name]).mean())
        rates[name] = (
            false, *np.quantile(delays, [0.5, 0.95]).tolist(), float((delays <= SOON).mean()),
        )  # fmt: skip
    return rates


def ceiling(labels_a_day: int) -> float:
    """The share of falls that no rule can exceed within `SOON` labels at this false-alarm rate."""
    from scipy.stats import binom  # in the extra `test` only

    stretches = max(1, _DAYS * labels_a_day // SOON)
    level = 1 - (1 - ALARMS) ** (1 / stretches)
    counts = np.arange(SOON + 1)
    least = int(counts[binom.sf(counts, SOON, HEALTHY) <= level][0])  # more than that: an alarm
    left = level - binom.sf(least, SOON, HEALTHY)
    at_least = left / binom.pmf(least, SOON, HEALTHY) * binom.pmf(least, SOON, FALLEN)
    return float(binom.sf(least, SOON, FALLEN) + at_least)


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m penstock.loadtests.change_rules")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--labels-a-day", type=int, nargs="+", default=[25, 100, 1000])
    options = parser.parse_args(arguments)
    for labels in options.labels_a_day:
        table = Table(title=f"accuracy 0.90 to 0.80, {labels} labels a day")
        for heading in ("rule", "false alarms a month", "median", "95 %", f"within {SOON}"):
            table.add_column(heading, justify="left" if heading == "rule" else "right")
        for name, (false, median, late, soon) in compare(labels, options.runs).items():
            table.add_row(name, f"{false:.1%}", f"{median:.0f}", f"{late:.0f}", f"{soon:.1%}")
        table.add_row("none can exceed", f"{ALARMS:.1%}", "", "", f"{ceiling(labels):.1%}")
        Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
