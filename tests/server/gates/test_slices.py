"""Slices: a version may be good on the whole and bad for some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.server.gates.gate_report import Verdict

if TYPE_CHECKING:
    from pathlib import Path


def written(home: Path, wrong_in_south: float) -> None:
    """4,000 rows; label 1 where ``a`` is above 0, but for a share of those in the south."""
    dice = np.random.default_rng(2)
    values = dice.normal(size=4000)
    south = np.arange(4000) % 4 == 0
    turned = south & (dice.random(4000) < wrong_in_south)
    labels = (values > 0) ^ turned
    lines = ["a,b,target,place"] + [
        f"{x:.6f},0,{int(y)},{'south' if s else 'north'}"
        for x, y, s in zip(values, labels, south, strict=True)
    ]
    (home / "rows.csv").write_text("\n".join(lines) + "\n")


ASKED = {
    "data": "rows.csv",
    "label": "target",
    "metric": "accuracy",
    "slices": ["place"],
    "largest_gap": 0.05,
}


def test_a_slice_that_is_apart_fails_by_name(home: Path, gates: Any) -> None:
    written(home, 0.3)
    found = gates(1, evaluation=ASKED)["slices"]
    assert found.verdict is Verdict.FAILED
    assert "place = south" in found.reason
    assert found.figures["slices"]["place = south"]["rows"] == 1000


def test_slices_that_are_alike_pass(home: Path, gates: Any) -> None:
    written(home, 0.01)
    found = gates(1, evaluation=ASKED)["slices"]
    assert found.verdict is Verdict.PASSED


def test_a_slice_of_few_rows_is_too_little_to_say(home: Path, gates: Any) -> None:
    written(home, 0.0)
    text = (home / "rows.csv").read_text().splitlines()
    text[1:6] = [line.rsplit(",", 1)[0] + ",east" for line in text[1:6]]
    (home / "rows.csv").write_text("\n".join(text) + "\n")
    found = gates(1, evaluation=ASKED)["slices"]
    assert found.verdict is Verdict.TOO_LITTLE
    assert "place = east (5 rows)" in found.reason
