"""Values into bins: every one exactly once, whatever it is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from penstock.monitoring.drift.bins import (
    CategoryBins,
    NumberBins,
    category_bins,
    from_json,
    number_bins,
    to_json,
)

ANY = arrays(np.float64, st.integers(0, 60), elements=st.floats(width=64))


@given(ANY, ANY)
def test_every_number_is_counted_once_and_survives_json(baseline, values):
    bins = number_bins(baseline)
    counts = bins.count(values)
    assert counts.sum() == values.size
    assert len(counts) == bins.size == len(bins.labels) == len(bins.exceptional)
    assert counts[-2] == np.isnan(values).sum()
    assert counts[-1] == np.isinf(values).sum()
    assert from_json(json.loads(json.dumps(to_json(bins)))) == bins


def test_inner_bins_hold_equal_shares():
    values = np.random.default_rng(0).normal(size=10_000)
    counts = number_bins(values).count(values)
    assert counts[1:21].min() >= 490
    assert counts[[0, 21]].tolist() == [10, 10]


def test_few_values_have_a_bin_each():
    values = np.repeat([0.0, 1.0, 5.0], [10, 20, 30])
    bins = number_bins(values)
    assert bins.count(values).tolist() == [0, 10, 20, 30, 0, 0, 0]
    assert bins.count(np.array([-3.0, 9.0])).tolist() == [1, 0, 0, 0, 1, 0, 0]


def test_a_value_that_half_the_rows_have_is_no_trouble():
    rng = np.random.default_rng(0)
    values = np.concatenate([np.zeros(5000), rng.lognormal(size=5000)])
    counts = number_bins(values).count(values)
    assert counts.sum() == 10_000
    assert counts.max() >= 5000


@given(st.lists(st.one_of(st.text(max_size=3), st.binary(max_size=3), st.none(), st.integers())))
def test_every_category_is_counted_once(values):
    assert category_bins({"a": 3, "b": 1}).count(values).sum() == len(values)


def test_known_rare_and_new_categories_are_told_apart():
    found = {f"c{number:03}": 1000 - number for number in range(60)}
    bins = category_bins(found)
    counts = bins.count(["c000", b"c055", "c055", "zebra", "", None, float("nan")])
    named = dict(zip(bins.labels, counts.tolist(), strict=True))
    assert named["c000"] == 1
    assert (named["OTHER"], named["NEW"], named["missing"]) == (2, 1, 3)


def test_with_too_many_categories_nothing_is_new():
    bins = category_bins({f"c{number}": 1 for number in range(3000)})
    assert isinstance(bins, CategoryBins)
    assert dict(zip(bins.labels, bins.count(["zebra"]).tolist(), strict=True))["OTHER"] == 1


@pytest.mark.parametrize(
    "content",
    [{}, {"edges": []}, {"edges": [2.0, 1.0]}, {"edges": ["x"]}, {"edges": [float("nan")]}],
)
def test_what_are_no_bins_is_refused(content):
    with pytest.raises(ValueError, match=r"edges|bins|float"):
        from_json(content)


def test_an_edge_belongs_above():
    assert NumberBins((0.0, 1.0)).count(np.array([0.0, 1.0])).tolist() == [0, 1, 1, 0, 0]
