import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penstock.server.rollout.tolerance import OutputTolerance, Tolerance
from penstock.server.shadow.answer_diff import compare

DTYPES = ["float16", "float32", "float64", "int8", "int64", "uint64", "bool"]
ANYTHING = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6)
    )
)
TOLERANCES = st.builds(
    OutputTolerance,
    st.none() | st.floats(0, 10),
    st.none() | st.floats(0, 10),
    st.sampled_from(["auto", "class", "number", "ignore"]),
)


def one(expected, actual, tolerance=None, rows=None):
    """The comparison of a single output."""
    rows = len(expected) if rows is None else rows
    allowed = Tolerance(outputs={"y": tolerance or OutputTolerance()})
    return compare({"y": expected}, {"y": actual}, rows, allowed)


def differs(expected, actual, **tolerance):
    expected, actual = np.asarray(expected), np.asarray(actual)
    return one(expected, actual, OutputTolerance(**tolerance)).differs.tolist()


@given(ANYTHING, TOLERANCES)
def test_identical_answers_never_differ(array, tolerance):
    if not len(array):
        return
    outcome = one(array, array.copy(), tolerance)
    assert not outcome.differs.any()
    assert not outcome.invalid.any()
    assert not outcome.severity.any()
    assert outcome.outputs["y"].max_absolute == 0.0


@given(
    hnp.arrays("float64", (5, 3), elements=st.floats(allow_nan=True, allow_infinity=True)),
    hnp.arrays("float64", (5, 3), elements=st.floats(allow_nan=True, allow_infinity=True)),
    st.floats(0, 1e3),
    st.floats(0, 2),
)
def test_numbers_follow_the_rule_value_by_value(expected, actual, absolute, relative):
    def within(a, b):
        if a == b or (math.isnan(a) and math.isnan(b)):
            return True
        if not (math.isfinite(a) and math.isfinite(b)):
            return False
        return abs(np.float64(b) - a) <= absolute + relative * abs(a)

    with np.errstate(all="ignore"):
        wanted = [
            not all(map(within, row, other)) for row, other in zip(expected, actual, strict=True)
        ]
    invalid = [
        any(math.isfinite(a) and not math.isfinite(b) for a, b in zip(row, other, strict=True))
        for row, other in zip(expected, actual, strict=True)
    ]
    tolerance = OutputTolerance(absolute, relative, "number")
    outcome = one(expected, actual, tolerance)
    assert outcome.differs.tolist() == wanted
    assert outcome.invalid.tolist() == invalid
    assert ((outcome.severity > 0) == outcome.differs).all()


@given(
    hnp.arrays("float32", (6, 4), elements=st.floats(0, 1, width=32)),
    hnp.arrays("float32", (6, 4), elements=st.floats(0, 1, width=32)),
)
def test_classes_differ_where_another_column_is_largest(expected, actual):
    outcome = one(expected, actual, OutputTolerance(compare="class"))
    assert outcome.differs.tolist() == (expected.argmax(1) != actual.argmax(1)).tolist()


def test_labels_must_be_equal():
    assert differs([1, 2, 3], [1, 2, 4]) == [False, False, True]
    assert differs([True, False], [True, True]) == [False, True]
    strings = np.array([b"cat", b"dog"], dtype=object)
    assert differs(strings, np.array([b"cat", b"cow"], dtype=object)) == [False, True]


def test_large_labels_are_told_apart_beyond_the_precision_of_floats():
    assert differs(np.array([2**60]), np.array([2**60 + 1])) == [True]


def test_numbers_that_are_whole_may_be_given_a_tolerance():
    assert differs([100, 200], [101, 200], absolute=2.0) == [True, False]
    assert differs([100, 200], [101, 203], absolute=2.0, compare="number") == [False, True]


def test_probabilities_are_compared_as_classes_unless_told_otherwise():
    expected = np.array([[0.9, 0.1], [0.6, 0.4]], np.float32)
    actual = np.array([[0.6, 0.4], [0.4, 0.6]], np.float32)
    assert differs(expected, actual) == [False, True]
    assert differs(expected, actual, absolute=0.25) == [True, True]
    assert differs(expected, actual, compare="number", absolute=0.25) == [True, False]
    assert one(expected, actual).outputs["y"].compared == "class"


def test_embeddings_are_no_classes():
    expected = np.array([[0.5, -2.0, 0.1]], np.float32)
    assert one(expected, expected * np.float32(1.01)).outputs["y"].compared == "number"
    assert differs(expected, expected * np.float32(1.01)) == [False]
    assert differs(expected, expected * np.float32(1.1)) == [True]


def test_a_relative_tolerance_is_of_the_primarys_value():
    assert differs([100.0], [111.0], relative=0.1) == [True]
    assert differs([111.0], [100.0], relative=0.1) == [False]


def test_nan_where_the_primary_has_a_number_is_invalid_and_the_reverse_only_differs():
    nan = math.nan
    outcome = one(np.array([1.0, nan, nan, 1.0]), np.array([nan, 1.0, nan, math.inf]))
    assert outcome.differs.tolist() == [True, True, False, True]
    assert outcome.invalid.tolist() == [True, False, False, True]


def test_nan_among_probabilities_is_invalid():
    expected = np.array([[0.9, 0.1], [0.9, 0.1]], np.float32)
    actual = np.array([[math.nan, 0.1], [0.8, 0.2]], np.float32)
    outcome = one(expected, actual)
    assert outcome.differs.tolist() == outcome.invalid.tolist() == [True, False]


@pytest.mark.parametrize(
    ("actual", "why"),
    [
        (np.zeros((2, 4)), "shape"),
        (np.zeros((3, 3)), "shape"),
        (np.full((2, 3), b"a", dtype=object), "type"),
    ],
)
def test_another_shape_or_type_differs_in_every_row(actual, why):
    outcome = one(np.zeros((2, 3)), actual)
    assert outcome.differs.tolist() == [True, True]
    assert outcome.outputs["y"].compared == why


def test_missing_and_extra_outputs_differ_in_every_row_unless_ignored():
    y = np.zeros(2)
    everything = Tolerance()
    assert compare({"y": y, "z": y}, {"y": y}, 2, everything).differs.all()
    assert compare({"y": y}, {"y": y}, 2, everything, extra=["z"]).differs.all()
    ignored = Tolerance(outputs={"z": OutputTolerance(compare="ignore")})
    assert not compare({"y": y, "z": y}, {"y": y}, 2, ignored).differs.any()
    assert not compare({"y": y}, {"y": y}, 2, ignored, extra=["z"]).differs.any()


def test_a_model_without_rows_gives_one_answer():
    expected = np.zeros((4, 5))
    actual = expected.copy()
    actual[3, 3] = 1.0
    assert one(expected, expected, rows=1).differs.tolist() == [False]
    assert one(expected, actual, rows=1).differs.tolist() == [True]


def test_a_row_differs_if_any_output_does_and_is_as_bad_as_the_worst():
    label, score = np.array([1, 2, 3]), np.array([1.0, 1.0, 1.0])
    outcome = compare(
        {"label": label, "score": score},
        {"label": np.array([1, 2, 4]), "score": np.array([1.0, 2.0, math.nan])},
        3,
        Tolerance(),
    )
    assert outcome.differs.tolist() == [False, True, True]
    assert outcome.severity[0] == 0 < outcome.severity[1] < outcome.severity[2]


def test_the_histogram_counts_each_row_once_by_its_largest_difference():
    expected = np.zeros((4, 2))
    actual = np.array([[0, 0], [1e-3, 0], [1e-3, 1.0], [math.inf, 0]])
    histogram = one(expected, actual).outputs["y"].histogram
    assert histogram == {-60: 1, -12: 1, 0: 1, 60: 1}


def test_an_output_that_has_no_rows_is_that_of_all_rows():
    expected, actual = np.array([1.0, 2.0]), np.array([1.0, 3.0])
    assert one(expected, expected, rows=3).differs.tolist() == [False] * 3
    found = one(expected, actual, rows=3)
    assert found.differs.tolist() == [True] * 3
    assert found.outputs["y"].max_absolute == 1.0
