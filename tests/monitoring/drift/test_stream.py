"""What is said after the last window of arrays."""

from __future__ import annotations

import numpy as np

from penstock.monitoring.drift import assess
from penstock.monitoring.drift.states import TOO_LITTLE
from penstock.monitoring.drift.stream import Rows


def test_a_last_window_of_few_rows_does_not_make_a_variation_known():
    rng = np.random.default_rng(0)
    rows = [Rows({"x": rng.normal(size=size)}, 0.0, 3600.0) for size in (1000, 500, 3)]
    before = assess(rows[0], rows[1:2])
    after = assess(rows[0], rows[1:])
    assert after.verdicts[-1].state == TOO_LITTLE
    assert before.unknown == after.unknown == ("x",)
    assert assess(rows[0], rows[2:]).unknown == ()
