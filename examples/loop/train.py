"""The training that Penstock starts: reads the order from standard input, pushes a version.

It knows nothing of Penstock but the order, the exported file and the command line:

    {"run": "...", "model": "customers", "data": {"uri": "….csv", "sha256": "…"}, "parameters": {…}}
"""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from world import COLUMNS, fitted, write_model

#: Rows of the season that has just begun: the newest that have a label.
ROWS = 300


def newest(path: Path) -> tuple[Any, Any]:
    """The newest rows, and their labels."""
    with path.open(newline="") as file:
        table = [one for one in csv.DictReader(file) if one[COLUMNS[0]] and one["label"]]
    table.sort(key=lambda one: float(one["predicted_at"]))
    table = table[-ROWS:]
    rows = np.array([[float(one[name]) for name in COLUMNS] for one in table])
    return rows, np.array([int(float(one["label"])) for one in table])


def main() -> None:
    """Train, and push."""
    order = json.load(sys.stdin)
    data = order["data"]
    if data is None:
        raise SystemExit("there is nothing to train with: no labelled predictions")
    path = Path(data["uri"])
    if hashlib.sha256(path.read_bytes()).hexdigest() != data["sha256"]:
        raise SystemExit(f"{path} is not what was exported")
    rows, labels = newest(path)
    weights, intercept = fitted(rows, labels)
    print(f"{len(rows)} rows, weights {np.round(weights, 2)}")
    with tempfile.TemporaryDirectory() as place:
        model = Path(place) / "model.onnx"
        write_model(model, weights, intercept)
        penstock = [sys.executable, "-m", "penstock.server.cli.main"]
        command = [
            *(*penstock, "push", order["parameters"]["registry"], order["model"], str(model)),
            *("--columns", order["parameters"]["columns"]),
            *("--data-hash", f"sha256:{data['sha256']}"),
            *("--param", f"retraining={order['run']}"),  # so Penstock knows whose result it is
        ]
        subprocess.run(command, check=True)  # noqa: S603  our own command


if __name__ == "__main__":
    main()
