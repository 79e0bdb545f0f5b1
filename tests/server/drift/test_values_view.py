"""What sketches and limits say, in words and charts; and nothing where there is nothing."""

from __future__ import annotations

import numpy as np

from penstock.monitoring.drift.learning import number_reference
from penstock.monitoring.drift.sketches import RANKS
from penstock.server.drift.values_view import (
    category_words,
    faults_words,
    quantile_chart,
    rate_words,
)


def test_unusual_rows_in_words():
    faults = {"range": 3, "domain": 0, "missing": 40}
    assert faults_words({"rows": 200, "faults": faults}) == "1.5 % out of range, 20 % missing"
    assert faults_words({"rows": 0, "faults": dict.fromkeys(faults, 0)}) == ""


def test_new_categories_are_named():
    features = [
        {"name": "x", "quantiles": []},
        {"name": "old", "distinct": 3, "new": []},
        {"name": "c", "distinct": 120, "new": [["a", 9], ["b", 8], ["c", 7], ["d", 6]]},
    ]
    old, new = category_words(features)
    assert old == "old: 3 different values in the last window."
    assert new.endswith("new: 'a' (9 rows), 'b' (8 rows), 'c' (7 rows).")


def test_quantiles_over_time_beside_those_of_the_baseline():
    reference = number_reference(np.random.default_rng(1).normal(size=5000))
    windows = [
        {"end": 60.0 * place, "figures": {"x": {"quantiles": [place + rank for rank in RANKS]}}}
        for place in range(5)
    ]
    windows.append({"end": 600.0, "figures": {}})
    chart = quantile_chart(windows, "x", reference)
    assert chart is not None
    assert chart.count('class="level muted"') == 3
    assert "4.5" in chart
    assert quantile_chart(windows, "y", reference) is None


def test_what_is_far_below_all_that_matters_is_not_spelt_out():
    assert [rate_words(rate) for rate in (0.25, 0.0123, 1e-20)] == ["0.25", "0.012", "< 1e-06"]
