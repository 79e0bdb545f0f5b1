"""Segments have short names, and as many as fit in memory: the most frequent ones."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.monitoring.segments.field import (
    MISSING,
    NAME_BYTES,
    OTHER,
    SegmentField,
    column_of,
    value_name,
)
from penstock.monitoring.segments.frequent_names import AT_ONCE, MOST_NAMES, FrequentNames


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"CH", "CH"),
        ("Zürich".encode(), "Zürich"),
        (b"", MISSING),
        (True, "true"),
        (np.array([False])[0], "false"),
        (3, "3"),
        (3.0, "3"),
        (-7.0, "-7"),
        (2.5, OTHER),
        (float("inf"), OTHER),
        (1e300, OTHER),
        (float("nan"), MISSING),
    ],
)
def test_the_name_of_a_value(value, name):
    assert value_name(value) == name


def test_long_and_unprintable_texts_have_short_names_that_differ():
    texts = [b"x" * 100, b"x" * 101, b"a\nb", b"a\rb", b"\xff" * 12, "é".encode() * 17]
    names = [value_name(one) for one in texts]
    assert len(set(names)) == len(texts)
    assert all(len(one.encode()) <= NAME_BYTES and one.isprintable() for one in names)


def test_a_column_is_an_input_an_element_or_nothing():
    plan = np.array([[b"a"], [b"b"]], object)
    matrix = np.arange(6.0).reshape(2, 3)
    assert column_of(SegmentField("plan", "plan"), plan, 2) == [b"a", b"b"]
    assert column_of(SegmentField("x", "x", 2), matrix, 2) == [2.0, 5.0]
    assert column_of(SegmentField("x", "x", 2), np.arange(3.0), 1) == [2.0]
    assert column_of(SegmentField("x", "x", 3), matrix, 2) is None
    assert column_of(SegmentField("x", "x"), None, 2) is None
    assert column_of(SegmentField("x", "x"), matrix, 5) is None


def test_the_first_values_have_names_at_once_and_keep_them():
    names = FrequentNames()
    codes = [names.code(f"c{n}") for n in range(AT_ONCE)]
    assert len(set(codes)) == AT_ONCE
    assert [names.names[code] for code in codes] == [f"c{n}" for n in range(AT_ONCE)]
    assert names.code("c0") == codes[0]
    assert names.code(OTHER) == 0
    assert names.code(MISSING) == 1
    assert names.code("once") == 0
    again = FrequentNames(names.names)
    assert again.names == names.names
    assert again.code("c5") == codes[5]


def test_a_frequent_value_gets_a_name_among_any_number_of_rare_ones():
    """2 % of the rows are of one value, the others are different in each row."""
    random = np.random.default_rng(1)
    names = FrequentNames()
    for row in range(20_000):
        names.code("frequent" if row > AT_ONCE and random.random() < 0.02 else f"rare {row}")
    assert "frequent" in names.names
    assert len(names.names) <= AT_ONCE + 4
    assert len(names._counts) <= 256


def test_no_more_values_than_agreed_have_names():
    names = FrequentNames()
    for row in range(100_000):
        names.code(f"v{row % 80}")
    assert len(names.names) == MOST_NAMES + 2
    assert names.code("v79") == 0 or names.code("v0") > 0
