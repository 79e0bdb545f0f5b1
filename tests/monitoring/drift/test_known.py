"""The baseline of a version, and which of its columns are compared with it."""

from __future__ import annotations

import numpy as np

from penstock.monitoring.drift.baseline import FROM_FILE, Baseline
from penstock.monitoring.drift.baseline_files import BaselineFiles, write_baseline
from penstock.monitoring.drift.known import KnownVersion
from penstock.monitoring.drift.learning import category_reference, number_reference
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.schema import Schema
from penstock.monitoring.samples.samples import BatchSample


def test_a_published_baseline_is_used_without_inputs_that_come_hashed_or_not_at_all(tmp_path):
    rng = np.random.default_rng(3)
    people = category_reference([f"person {one}" for one in range(40)] * 10)
    built = {"x[0]": number_reference(rng.normal(size=400)), "colour": people, "who": people}
    files = BaselineFiles(tmp_path)
    write_baseline(files.built("m", "1"), Baseline(built, FROM_FILE))
    known = KnownVersion(
        DriftOptions(),
        [files.built("m", "1")],
        files.learnt("m", "1"),
        "",
        lambda: "2031-01-01T00:00:00Z",
        Schema("who"),
        {"colour", "who"},
    )
    words = np.array([b"0123"] * 50, dtype=object)
    sample = BatchSample(
        "m", "1", 1e9, [b"r"], [0, 50], [200], [0.1], ("who", "x", "colour"),
        [words, rng.normal(size=(50, 2)), words], (), [], [1e9],
    )  # fmt: skip
    assert [name for name, _, _ in known.rows([sample])] == ["x[0]"]
    assert known.problem == ""
    assert known.source == FROM_FILE
