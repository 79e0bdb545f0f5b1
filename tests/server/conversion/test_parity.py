"""The comparison of two models: what agrees, and what does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from penstock.server.conversion.parity import ABSOLUTE, RELATIVE, compare

SCORES = np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])


def test_equal_answers_agree_whatever_their_type() -> None:
    for right, given in (
        (np.array([0, 1, 2]), np.array([0, 1, 2], np.int64)),
        (np.array([0.0, 1.0]).astype(np.int32), np.array([0, 1], np.int64)),
        (np.array(["a", "ö"], object), np.array([b"a", "ö".encode()], object)),
        (np.array([True, False]), np.array([1, 0])),
        (
            np.array([1.5, math.nan, math.inf]),
            np.array([[1.5], [math.nan], [math.inf]], np.float32),
        ),
    ):
        found = compare("y", right, given)
        assert found.agrees
        assert (found.worst_absolute, found.worst_relative, found.changed) == (0, 0, 0)


def test_rounding_agrees_and_is_shown() -> None:
    found = compare("y", np.array([1e6, 1.0]), np.array([1e6 + 0.0625, 1.0], np.float64))
    assert found.agrees
    assert found.worst_absolute == 0.0625
    assert found.worst_relative == pytest.approx(6.25e-8)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_tolerance_ends_where_it_says(sign: int) -> None:
    allowed = ABSOLUTE + RELATIVE * 2
    assert compare("y", np.array([2.0]), np.array([2 + sign * allowed * 0.999])).agrees
    assert compare("y", np.array([2.0]), np.array([2 + sign * allowed * 1.001])).beyond == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_never_agrees_with_one(value: float) -> None:
    for right, given in ((1.0, value), (value, 1.0)):
        found = compare("y", np.array([right]), np.array([given]))
        assert (found.agrees, found.worst_absolute) == (False, math.inf)


def test_rows_that_change_class_are_counted_from_labels_and_from_probabilities() -> None:
    labels = compare("label", np.array([0, 1, 2]), np.array([0, 2, 1]))
    assert (labels.changed, labels.first_changed, labels.agrees) == (2, 1, False)
    moved = SCORES.copy()
    moved[1] = [0.6, 0.4]
    scores = compare("p", SCORES, moved, classes=True)
    assert (scores.changed, scores.first_changed, scores.beyond) == (1, 1, 1)
    assert compare("y", SCORES, moved).changed == 0


def test_equally_probable_classes_may_change_places() -> None:
    near = SCORES + np.array([[0, 0], [0, 0], [0, 1e-9]])
    assert compare("p", SCORES, near, classes=True).agrees


def test_answers_of_another_shape_do_not_agree() -> None:
    found = compare("p", SCORES, np.zeros((3, 3)), classes=True)
    assert (found.agrees, found.beyond, found.changed) == (False, 3, 3)
