from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from penstock.monitoring.drift.baseline import FROM_FILE, Baseline, Reference
from penstock.monitoring.drift.baseline_files import write_baseline
from penstock.monitoring.drift.bins import NumberBins
from penstock.runtimes.contract import Column, Signature, TensorSpec
from penstock.server.loading.naming import named_signature

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = Signature((TensorSpec("x", "FP32", (-1, 2)),), (), batch_axis=True)


def names(signature: Signature) -> list[str]:
    return [column.name for spec in signature.inputs for column in spec.columns]


def named(*wanted: str) -> Signature:
    columns = tuple(map(Column, wanted))
    return Signature((TensorSpec("x", "FP32", (-1, 2), columns=columns),), (), batch_axis=True)


def test_names_come_from_the_first_that_has_them(tmp_path: Path) -> None:
    built, published = tmp_path / "built.json", tmp_path / "baseline.json"
    assert names(named_signature(PLAIN, None, [built, published], ())) == []
    assert names(named_signature(PLAIN, None, [built], ("f", "g"))) == ["f", "g"]
    bins = NumberBins((0.0, 1.0))
    counts = np.zeros(bins.size, np.int64)
    one, answer = Reference(bins, counts), Reference(bins, counts, output=True)
    references = {"c": one, "d": one, "y": answer}
    write_baseline(published, Baseline(references, FROM_FILE))
    assert names(named_signature(PLAIN, None, [built, published], ("f", "g"))) == ["c", "d"]
    assert names(named_signature(PLAIN, named("m", "n"), [published], ())) == ["m", "n"]
    assert names(named_signature(named("a", "b"), named("m", "n"), [published], ())) == ["a", "b"]


def test_names_that_do_not_fit_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text("{}")
    assert names(named_signature(PLAIN, None, [path], ("only",))) == []
