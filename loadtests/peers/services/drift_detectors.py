# ruff: noqa: INP001  a script for the peer's own environment, not part of the package
# mypy: ignore-errors
"""Asks one drift library about the streams in a file; run in an environment that has it.

``python drift_detectors.py evidently|nannyml|river streams.npz`` prints JSON: for each rule its
settings, the default first. Each has ``healthy`` (windows) and ``trials``
(trials x windows): scores with a ``limit``, or flags with the limit 0.5. Those with scores
may have ``week``, the scores of the baseline's own windows.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

#: No library tells its maker what it is used for.
os.environ.update(NML_DISABLE_USAGE_LOGGING="1", NML_DISABLE_USER_ANALYTICS="1", DO_NOT_TRACK="1")
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

#: River's parameter of each detector, from its default to the most cautious.
ADWIN_DELTAS = (2e-3, 1e-6, 1e-15, 1e-50, 1e-200)
PAGE_THRESHOLDS = (50, 200, 800, 3200, 12800)
#: KSWIN takes 0.2 ms a value: it has the first column only, and each twentieth row.
KSWIN_STEP = 20
#: Rows of the baseline that the detectors of river see before a trial.
SEEN = 2000
#: Evidently sorts the baseline for each window: it has each eighth row of it.
BASELINE_STEP = 8
EVIDENTLY_LIMIT = 0.1
NANNYML_DEVIATIONS = 3.0


@dataclass(frozen=True)
class Stream:
    """Windows x columns x rows; of the trials: trials x windows x columns x rows."""

    week: np.ndarray
    healthy: np.ndarray
    trials: np.ndarray
    words: bool

    @property
    def baseline(self) -> np.ndarray:
        """All rows of the week, as columns x rows."""
        return rows_of(self.week)

    def frame(self, values: np.ndarray) -> pd.DataFrame:
        """A data frame of columns x rows."""
        import pandas as pd

        names = [f"x{place}" for place in range(len(values))]
        shown = np.char.add("w", values.astype(str)).astype(object) if self.words else values
        return pd.DataFrame(dict(zip(names, shown, strict=True)))


def rows_of(windows: np.ndarray) -> np.ndarray:
    """The rows of windows x columns x rows, as columns x rows."""
    return windows.transpose(1, 0, 2).reshape(windows.shape[1], -1)


def evidently(stream: Stream) -> dict[str, list[dict[str, Any]]]:
    """The test that Evidently chooses for a column of this kind and size, in each column."""
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    kind = ColumnType.Categorical if stream.words else ColumnType.Numerical
    before = stream.frame(stream.baseline[:, ::BASELINE_STEP])
    test = get_stattest(before["x0"], before["x0"], kind, None)
    if test.name not in {"wasserstein", "jensenshannon"}:
        raise SystemExit(f"{test.name} is no distance: the default for over 1000 rows has changed")

    def score(window: np.ndarray) -> float:
        now = stream.frame(window)
        found = [test(before[name], now[name], kind, EVIDENTLY_LIMIT) for name in now]
        return float(max(one.drift_score for one in found))

    setting = {
        "limit": EVIDENTLY_LIMIT,
        "week": [score(one) for one in stream.week],
        "healthy": [score(one) for one in stream.healthy],
        "trials": [[score(one) for one in trial] for trial in stream.trials],
    }
    return {f"Evidently, {test.display_name}": [setting]}


def nannyml(stream: Stream) -> dict[str, list[dict[str, Any]]]:
    """Its defaults with a chunk for each window: three standard deviations of the reference's."""
    import nannyml as nml

    columns, rows = stream.healthy.shape[1:]
    names = [f"x{place}" for place in range(columns)]
    wanted = stream.frame(rows_of(np.concatenate([stream.healthy, *stream.trials])))
    reference = stream.frame(stream.baseline)
    extra = {"treat_as_categorical": names} if stream.words else {}
    single = nml.UnivariateDriftCalculator(column_names=names, chunk_size=rows, **extra)
    together = nml.DataReconstructionDriftCalculator(column_names=names, chunk_size=rows)
    found = {}
    for title, calculator, keys in (
        ("NannyML, Jensen-Shannon", single, [(name, "jensen_shannon") for name in names]),
        ("NannyML, PCA", together, [("reconstruction_error",)]),
    ):
        result = calculator.fit(reference).calculate(wanted).to_df()
        chunk = ("chunk",) * len(keys[0])
        known = (result[(*chunk, "period")] == "reference").to_numpy()
        away = []
        for key in keys:
            values = result[(*key, "value")].to_numpy(float)
            away.append((values - values[known].mean()) / values[known].std(ddof=0))
        # The first has an upper threshold only, the second one on each side.
        scores = (np.abs(away) if calculator is together else np.array(away)).max(axis=0)
        later = scores[~known]
        setting = {
            "limit": NANNYML_DEVIATIONS,
            "week": scores[known].tolist(),
            "healthy": later[: len(stream.healthy)].tolist(),
            "trials": later[len(stream.healthy) :].reshape(len(stream.trials), -1).tolist(),
        }
        found[title] = [setting]
    return found


def river(stream: Stream) -> dict[str, list[dict[str, Any]]]:
    """Detectors that take one number after the other, a detector for each column."""
    from river import drift

    if stream.words:
        return {}
    thin = Stream(
        *(one[..., :1, ::KSWIN_STEP] for one in (stream.week, stream.healthy, stream.trials)),
        words=False,
    )
    return {
        "river ADWIN": settings(stream, lambda value: drift.ADWIN(delta=value), ADWIN_DELTAS),
        "river PageHinkley": settings(
            stream, lambda value: drift.PageHinkley(threshold=value), PAGE_THRESHOLDS
        ),
        "river KSWIN": [
            *settings(thin, lambda value: drift.KSWIN(alpha=value, seed=1), (0.005,)),
            least_p_values(thin, lambda: drift.KSWIN(alpha=1e-300, seed=1)),
        ],
    }


def settings(
    stream: Stream, make: Callable[[float], Any], parameters: Sequence[float]
) -> list[dict[str, Any]]:
    """In which windows a detector detects, by parameter."""
    base = stream.baseline

    def flags(windows: np.ndarray, before: np.ndarray, parameter: float) -> list[bool]:
        found = [False] * len(windows)
        for column, known in enumerate(before):
            detector = make(parameter)
            for value in known.tolist():
                detector.update(value)
            for place, window in enumerate(windows[:, column].tolist()):
                for value in window:
                    detector.update(value)
                    if detector.drift_detected:
                        found[place] = True
        return found

    return [
        {
            "limit": 0.5,
            "healthy": flags(stream.healthy, base, one),
            "trials": [flags(trial, base[:, -SEEN:], one) for trial in stream.trials],
        }
        for one in parameters
    ]


def least_p_values(stream: Stream, make: Callable[[], Any]) -> dict[str, Any]:
    """-log10 of the smallest p-value in each window, by a detector that never detects."""
    base = stream.baseline[0, -SEEN:]

    def scores(windows: np.ndarray) -> list[float]:
        detector, found = make(), []
        for value in base.tolist():
            detector.update(value)
        for window in windows[:, 0].tolist():
            least = 1.0
            for value in window:
                detector.update(value)
                least = min(least, detector.p_value)
            found.append(float(-np.log10(max(least, 1e-300))))
        return found

    return {
        "limit": float("inf"),
        "healthy": scores(stream.healthy),
        "trials": [scores(one) for one in stream.trials],
    }


def main() -> None:
    """Read the streams, print the scores."""
    asked = {"evidently": evidently, "nannyml": nannyml, "river": river}[sys.argv[1]]
    content = np.load(sys.argv[2])
    names = ("week", "healthy", "trials")
    stream = Stream(*(content[name] for name in names), words=bool(content["words"]))
    print(json.dumps(asked(stream)))


if __name__ == "__main__":
    main()
