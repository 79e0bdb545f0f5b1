"""Drift rules on the same windows: how often each cries wolf, and what it finds.

``python -m penstock.loadtests.drift_rules`` prints a table for each size of window. Twenty normal
features; in the windows with drift, one of them is shifted by half a standard deviation. The rules
beside ours are Evidently's default for more than 1000 reference rows (Wasserstein distance over the
standard deviation, flagged at 0.1) written down here from its source, the tests of SciPy, and PSI
as it is usually computed. ``--evidently PYTHON`` asks the real Evidently, in an environment of its
own (``evidently==0.7.23 pandas<3``), too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from penstock.monitoring.drift.assessment import subjects_of
from penstock.monitoring.drift.learning import number_reference
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.rule import Level, grade
from penstock.monitoring.drift.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from penstock.monitoring.drift.baseline import Reference

    #: Baseline, window, how many of the features are wanted -> which of these are flagged.
    Rule = Callable[["Baseline", NDArray[np.float64], int], list[bool]]

FEATURES: Final = 20
BASELINE_ROWS: Final = 10_000
SIZES: Final = (100, 200, 500, 1000, 5000)
SHIFT: Final = 0.5
_LEVEL: Final = 0.05
_LINE: Final = 0.1
_OPTIONS: Final = DriftOptions()
_EVIDENTLY: Final = Path(__file__).parent / "peers" / "services" / "evidently_drift.py"


class Baseline:
    """Reference data, and what the rules make of it beforehand.

    Args:
        values: One row for each feature.
    """

    def __init__(self, values: NDArray[np.float64]) -> None:
        self.values = values
        self.sorted = np.sort(values, axis=1)
        self.spread = values.std(axis=1)
        self.ours: dict[str, Reference] = {
            str(number): number_reference(one) for number, one in enumerate(values)
        }


def ours(baseline: Baseline, window: NDArray[np.float64], wanted: int) -> list[bool]:
    """One window of the rule that the monitor applies; an episode needs two, or a critical one."""
    counted = Window(0.0, rows=window.shape[1])
    for name, values in zip(baseline.ours, window, strict=True):
        counted.add(name, baseline.ours[name], values)
    found = grade(subjects_of(counted, baseline.ours, {}), _OPTIONS)
    return [one.level is not Level.CLEAN for one in found.values()][:wanted]


def wasserstein(baseline: Baseline, window: NDArray[np.float64], wanted: int) -> list[bool]:
    """Evidently's default, by its formula."""
    from scipy.stats import wasserstein_distance  # in the extra `test` only

    return [
        wasserstein_distance(before, now) / max(spread, 0.001) >= _LINE
        for before, now, spread in zip(
            baseline.sorted, window[:wanted], baseline.spread, strict=False
        )
    ]


def kolmogorov_smirnov(baseline: Baseline, window: NDArray[np.float64], wanted: int) -> list[bool]:
    """SciPy's two-sample test at p < 0.05, each feature by itself."""
    return [value < _LEVEL for value in _ks(baseline, window[:wanted])]


def corrected(baseline: Baseline, window: NDArray[np.float64], wanted: int) -> list[bool]:
    """The same after Bonferroni."""
    return [value < _LEVEL / FEATURES for value in _ks(baseline, window[:wanted])]


def plain_psi(baseline: Baseline, window: NDArray[np.float64], wanted: int) -> list[bool]:
    """PSI over ten quantile bins, flagged at 0.1, not corrected for its bias."""
    flagged = []
    for before, now in zip(baseline.sorted, window[:wanted], strict=False):
        edges = np.quantile(before, np.linspace(0, 1, 11)[1:-1])
        expected = np.bincount(np.searchsorted(edges, before), minlength=10) / before.size
        actual = np.bincount(np.searchsorted(edges, now), minlength=10) / now.size
        actual = np.maximum(actual, 1e-4)
        flagged.append(bool(((actual - expected) * np.log(actual / expected)).sum() >= _LINE))
    return flagged


def _ks(baseline: Baseline, window: NDArray[np.float64]) -> list[float]:
    from scipy.stats import ks_2samp  # in the extra `test` only

    return [
        float(tuple(ks_2samp(before, now, method="asymp"))[1])
        for before, now in zip(baseline.sorted, window, strict=False)
    ]


RULES: Final[dict[str, Rule]] = {
    "Penstock": ours,
    "Evidently's default (formula)": wasserstein,
    "Kolmogorov-Smirnov p < 0.05": kolmogorov_smirnov,
    "the same, Bonferroni": corrected,
    "PSI >= 0.1, 10 quantile bins": plain_psi,
}


def windows_of(
    seed: int, rows: int, number: int
) -> tuple[Baseline, list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """A baseline, windows without drift, and the same with the first feature shifted."""
    random = np.random.default_rng(seed)
    baseline = Baseline(random.standard_normal((FEATURES, BASELINE_ROWS)))
    calm = [random.standard_normal((FEATURES, rows)) for _ in range(number)]
    shift = np.zeros((FEATURES, 1))
    shift[0] = SHIFT
    return baseline, calm, [one + shift for one in calm]


def compare(rows: int, number: int, per_baseline: int = 50) -> dict[str, tuple[float, ...]]:
    """Rates of each rule at one size of window.

    Returns:
        Windows without drift in which anything was flagged, in which half of the features were,
        and windows with drift in which the shifted feature was.
    """
    found = {name: [0, 0, 0] for name in RULES}
    for seed in range(number // per_baseline):
        baseline, calm, shifted = windows_of(seed, rows, per_baseline)
        for name, rule in RULES.items():
            for quiet, moved in zip(calm, shifted, strict=True):
                flags = rule(baseline, quiet, FEATURES)
                found[name][0] += any(flags)
                found[name][1] += sum(flags) >= FEATURES / 2
                found[name][2] += rule(baseline, moved, 1)[0]
    return {name: tuple(one / number for one in counts) for name, counts in found.items()}


def ask_evidently(python: str, rows: int, number: int) -> tuple[float, ...]:
    """The same rates by the real Evidently, on the same windows of the first baseline."""
    baseline, calm, shifted = windows_of(0, rows, number)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "windows.npz"
        np.savez(path, baseline=baseline.values, calm=calm, shifted=shifted)
        done = subprocess.run(
            [python, str(_EVIDENTLY), str(path)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(f"Evidently failed: {done.stderr[-1000:]}")
    flags: list[list[list[bool]]] = json.loads(done.stdout.splitlines()[-1])
    quiet, moved = flags
    return (
        sum(any(one) for one in quiet) / number,
        sum(sum(one) >= FEATURES / 2 for one in quiet) / number,
        sum(one[0] for one in moved) / number,
    )


def table(rows: int, rates: dict[str, Sequence[float]]) -> Table:
    """Rates for people."""
    found = Table(title=f"{rows} rows, {FEATURES} features, baseline of {BASELINE_ROWS}")
    for heading in ("rule", "false alarm: any", "false alarm: half", f"finds {SHIFT} sd"):
        found.add_column(heading, justify="left" if heading == "rule" else "right")
    for name, values in rates.items():
        found.add_row(name, *(f"{100 * one:.1f} %" for one in values))
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m penstock.loadtests.drift_rules")
    parser.add_argument("--windows", type=int, default=500, help="of each size")
    parser.add_argument("--evidently", metavar="PYTHON", help="of an environment that has it")
    parser.add_argument("--evidently-windows", type=int, default=50)
    options = parser.parse_args(arguments)
    console = Console()
    for rows in SIZES:
        rates: dict[str, Any] = dict(compare(rows, options.windows))
        if options.evidently:
            number = options.evidently_windows
            found = ask_evidently(options.evidently, rows, number)
            rates[f"Evidently itself ({number} windows)"] = found
        console.print(table(rows, rates))
    return 0


if __name__ == "__main__":
    sys.exit(main())
