# ruff: noqa: INP001  a script for the peer's own environment, not part of the package
# mypy: ignore-errors
"""Asks Evidently about windows in a file; run in an environment that has it.

Prints, as JSON, which columns of which window drift: ``[calm, shifted]``, windows, columns.
"""

import json
import sys

import numpy as np
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset


def flags(baseline: np.ndarray, window: np.ndarray) -> list[bool]:
    """Which columns of a window drift, by the defaults."""
    names = [f"f{number}" for number in range(len(baseline))]
    before, now = (pd.DataFrame(dict(zip(names, one, strict=True))) for one in (baseline, window))
    found = Report([DataDriftPreset()]).run(now, before).dict()
    drifts = {}
    for metric in found["metrics"]:
        config = metric.get("config", {})
        if config.get("type", "").endswith("ValueDrift"):
            # For a distance drift is at the threshold and above, for a p-value below it.
            above = "p_value" not in config.get("method", "")
            value, threshold = metric["value"], config["threshold"]
            drifts[config["column"]] = value >= threshold if above else value < threshold
    return [bool(drifts[name]) for name in names]


def main() -> None:
    """Read the windows, print the flags."""
    content = np.load(sys.argv[1])
    baseline = content["baseline"]
    print(
        json.dumps([[flags(baseline, one) for one in content[key]] for key in ("calm", "shifted")])
    )


if __name__ == "__main__":
    main()
