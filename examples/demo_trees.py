"""Ask the models of trees that `demo.py` serves, by rows with names: ``demo_trees.py URL``."""

from __future__ import annotations

import csv
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
SHOWN_ROWS = 4
SHOWN_COLUMNS = 4


def held_out(model: str) -> tuple[list[dict[str, float]], list[str]]:
    """Rows by column name that the model was not trained on, and the truth of each."""
    with (HERE / "data" / f"{model}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    truth = [row.pop("target") for row in rows]
    return [{name: float(value) for name, value in row.items()} for row in rows], truth


def predict(url: str, model: str, rows: list[dict[str, float]]) -> list[dict[str, Any]]:
    """The predictions of all rows, in one request."""
    request = urllib.request.Request(  # noqa: S310  the demo's own server
        f"{url}/v1/models/{model}:predict",
        json.dumps({"instances": rows}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  as above
        predictions: list[dict[str, Any]] = json.load(response)["predictions"]
    return predictions


def show(console: Console, url: str, model: str, library: str) -> None:
    """Predict and print some rows."""
    rows, truth = held_out(model)
    predictions = predict(url, model, rows)
    on = f"on {len(rows)} held-out rows with named columns"
    line = f"[bold]{model}[/], run by {library}: {quality(predictions, truth)} {on}"
    console.print(line, soft_wrap=True)
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name in list(rows[0])[:SHOWN_COLUMNS]:
        table.add_column(name, justify="right")
    for name in ("prediction", "truth"):
        table.add_column(name, min_width=17)
    step = len(rows) // SHOWN_ROWS
    for row, one, true in list(zip(rows, predictions, truth, strict=True))[::step]:
        shown = (f"{value:g}" for value in list(row.values())[:SHOWN_COLUMNS])
        table.add_row(*shown, told(one, true), true)
    console.print(table, "")


def quality(predictions: list[dict[str, Any]], truth: list[str]) -> str:
    """The share of right labels, or the mean error of a regression."""
    pairs = list(zip(predictions, truth, strict=True))
    if "label" in predictions[0]:
        return f"[bold]{sum(one['label'] == true for one, true in pairs) / len(pairs):.1%} right[/]"
    error = sum(abs(one["value"] - float(true)) for one, true in pairs) / len(pairs)
    return f"[bold]off by {error:.0f}[/] in the mean"


def told(one: dict[str, Any], true: str) -> str:
    """A prediction as it is shown."""
    if "label" not in one:
        return f"{one['value']:.0f}"
    style = "green" if one["label"] == true else "bold red"
    return f"[{style}]{one['label']}[/] {one['probabilities'][one['label']]:.1%}"


def main() -> None:
    """Entry point."""
    for model, library in (("iris", "XGBoost"), ("diabetes", "LightGBM")):
        show(Console(), sys.argv[1], model, library)


if __name__ == "__main__":
    main()
