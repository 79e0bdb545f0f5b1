"""Names the grower of a wine by the wines of the training data that are most like it.

The wines lie beside this file in ``wines.csv``; `train_tables.py` writes them and publishes both.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

NAMES = (
    "alcohol",
    "malic_acid",
    "ash",
    "alcalinity_of_ash",
    "magnesium",
    "total_phenols",
    "flavanoids",
    "nonflavanoid_phenols",
    "proanthocyanins",
    "color_intensity",
    "hue",
    "od280/od315_of_diluted_wines",
    "proline",
)


class Model:
    """A vote of the nearest neighbours: each input is a column of its own, so rows have names."""

    inputs: ClassVar[dict[str, Any]] = {name: ("FP64", [-1]) for name in NAMES}
    outputs: ClassVar[dict[str, Any]] = {
        "label": ("BYTES", [-1]),
        "probabilities": ("FP64", [-1, 3]),
    }
    batch_axis = True  # each wine is looked at by itself

    def load(self, directory: Path, neighbours: int = 5) -> None:
        """Read the wines; ``neighbours`` is a setting of ``[runtime]`` in model.toml."""
        with (directory / "wines.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        table = np.array([[float(row[name]) for name in NAMES] for row in rows])
        self.mean, self.spread = table.mean(axis=0), table.std(axis=0)
        self.wines = (table - self.mean) / self.spread
        growers = [row["target"] for row in rows]
        self.growers = sorted(set(growers))
        self.votes = np.array([[one == grower for grower in self.growers] for one in growers])
        self.neighbours = neighbours

    def predict(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The share of each grower among the nearest wines, and the grower with the most."""
        given = np.stack([inputs[name] for name in NAMES], axis=1)
        distances = ((given - self.mean) / self.spread)[:, None] - self.wines
        nearest = np.square(distances).sum(axis=2).argsort(axis=1, kind="stable")
        shares = self.votes[nearest[:, : self.neighbours]].mean(axis=1)
        label = np.empty(len(given), object)
        label[:] = [self.growers[one].encode() for one in shares.argmax(axis=1)]
        return {"label": label, "probabilities": shares}
