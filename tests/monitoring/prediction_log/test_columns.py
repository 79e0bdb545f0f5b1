"""Samples as rows of a table."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.monitoring.prediction_log.columns import FIXED, rows_of


def cells(sample, array, name="x"):
    """Columns made of one array, with their values."""
    rows = rows_of(
        sample(len(array), input_names=(name,), inputs=[array], output_names=(), outputs=())
    )
    values = list(zip(*rows.values, strict=True))[len(FIXED) :]
    return [(*column, list(found)) for column, found in zip(rows.columns, values, strict=True)]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([1.5, 2.5]), [("x", "REAL", [1.5, 2.5])]),
        (np.array([True, False]), [("x", "INTEGER", [True, False])]),
        (np.array([[1], [2]], np.int8), [("x", "INTEGER", [1, 2])]),
        (np.array([7, (1 << 64) - 1], np.uint64), [("x", "REAL", [7.0, float(1 << 64)])]),
        (np.array([7, 8], np.uint64), [("x", "INTEGER", [7, 8])]),
        (np.array([b"a", b"\xff"], object), [("x", "TEXT", ["a", b"\xff"])]),
        (
            np.array([[[1, 2], [3, 4]]], np.float16),
            [(f"x_{n}", "REAL", [n + 1.0]) for n in range(4)],
        ),
        (
            np.zeros((2, 201), np.uint8),
            [("x", "BLOB", [bytes(201)] * 2), ("x_shape", "TEXT", ["201"] * 2)],
        ),
        (
            np.zeros((1, 0), np.float32),
            [("x", "BLOB", [b""]), ("x_shape", "TEXT", ["0"])],
        ),
    ],
)
def test_an_array_becomes_typed_columns(sample, array, expected):
    assert cells(sample, array) == expected


def test_names_that_are_taken_get_a_number(sample):
    found = cells(sample, np.zeros(2), name="Time")
    assert [name for name, *_ in found] == ["Time_2", "naming"]


def test_what_may_not_leave_the_worker_has_no_column(sample):
    rows = rows_of(sample(2, inputs=[None, np.zeros(2)]))
    assert [name for name, _ in rows.columns] == ["word", "y"]


def test_rows_know_their_place_in_the_request(sample):
    rows = rows_of(
        sample(3, offsets=[0, 1, 1, 4], inputs=[None, None], outputs=[np.arange(4)]), 0.5
    )
    assert rows.count == 4
    found = [(row[1], row[2], row[8], row[-1]) for row in rows.values]
    assert found == [
        ("m-0-0", 0, 0.5, 0),
        ("m-0-2", 0, 0.5, 1),
        ("m-0-2", 1, 0.5, 2),
        ("m-0-2", 2, 0.5, 3),
    ]
