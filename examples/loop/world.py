"""A small world: customers, some of which leave, and what the season changes about them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

COLUMNS = ("tenure", "usage", "price", "calls")
LABEL = "left"


@dataclass(frozen=True)
class Season:
    """How customers are for a time, and which of them leave.

    Attributes:
        means: Mean of each column; each has a standard deviation of 1.
        weights: What each column does to the odds of leaving.
        right_labels: Share of labels that are what happened; the rest is wrong.
    """

    means: tuple[float, ...]
    weights: tuple[float, ...]
    right_labels: float = 1.0

    def customers(
        self, count: int, chance: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """Rows, who left, and what is said of who left."""
        rows = chance.normal(self.means, 1.0, (count, len(COLUMNS))).astype(np.float32)
        odds = (rows - np.array(self.means)) @ np.array(self.weights)
        left = (odds + chance.logistic(0.0, 0.3, count) > 0).astype(np.int64)
        wrong = chance.random(count) >= self.right_labels
        return rows, left, np.where(wrong, 1 - left, left)


SPRING = Season((0.0, 0.0, 0.0, 0.0), (2.0, -1.0, 1.5, 0.5))
#: Prices rise, and now those who use much leave.
SUMMER = Season((0.0, 0.0, 2.5, 0.0), (-1.0, 2.0, 1.5, -1.0))
#: Another shift; and most labels are wrong.
AUTUMN = Season((0.0, 2.5, 2.5, 0.0), (1.5, 1.0, -2.0, 1.0), right_labels=0.3)


def fitted(rows: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """Weights and intercept of a logistic regression, by Newton's method."""
    table = np.column_stack([rows, np.ones(len(rows))]).astype(float)
    weights = np.zeros(table.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-np.clip(table @ weights, -30, 30)))
        slope = table.T @ (chance - labels) + 0.1 * weights
        curve = (table * (chance * (1 - chance))[:, None]).T @ table
        weights -= np.linalg.solve(curve + 0.1 * np.eye(len(weights)), slope)
    return weights[:-1], float(weights[-1])


def write_model(path: Path, weights: NDArray[Any], intercept: float) -> None:
    """The regression as an ONNX file with the outputs ``label`` and ``probabilities``."""
    columns = np.column_stack([-weights, weights]).astype(np.float32)
    offsets = np.array([-intercept, intercept], np.float32)
    half = np.array([0.5], np.float32)  # softmax of -z/2 and z/2 is the logistic of z
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["features", "weights", "offsets"], ["doubled"]),
            helper.make_node("Mul", ["doubled", "half"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
        ],
        "customers",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", len(COLUMNS)])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 2]),
        ],
        [
            numpy_helper.from_array(columns, "weights"),
            numpy_helper.from_array(offsets, "offsets"),
            numpy_helper.from_array(half, "half"),
        ],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )


def write_table(
    path: Path, rows: NDArray[Any], labels: Sequence[int] | NDArray[Any] | None
) -> None:
    """Rows as CSV, with their labels if there are any."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*COLUMNS, *([] if labels is None else [LABEL])])
        for number, row in enumerate(rows):
            writer.writerow([*map(float, row), *([] if labels is None else [int(labels[number])])])
