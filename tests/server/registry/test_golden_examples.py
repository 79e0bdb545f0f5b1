"""Golden requests: read strictly, compared within a tolerance, explained exactly."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from penstock.runtimes.contract import ModelExecutionError, Signature, TensorSpec
from penstock.server.files.refusal import ModelRefused
from penstock.server.loading.golden_examples import (
    difference,
    mismatches,
    parse_examples,
    read_examples,
)

SIGNATURE = Signature(
    (TensorSpec("x", "FP32", (-1, 2)),),
    (TensorSpec("y", "FP32", (-1,)), TensorSpec("label", "BYTES", (-1,))),
    batch_axis=True,
)
X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
Y = {"name": "y", "datatype": "FP32", "shape": [1], "data": [3]}
LABEL = {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["odd"]}


class Adder:
    """Sums each row, and says whether that is odd."""

    signature = SIGNATURE

    def execute(self, inputs, outputs):
        if inputs[0].min() < 0:
            raise ModelExecutionError("negative")
        sums = inputs[0].sum(axis=1)
        labels = np.array([b"odd" if one % 2 else b"even" for one in sums], object)
        return [{"y": sums, "label": labels}[name] for name in outputs]


def parse(content):
    return parse_examples(json.dumps(content).encode(), SIGNATURE)


@pytest.mark.parametrize(
    "content",
    [
        [{"inputs": [X], "outputs": [Y, LABEL]}],
        {"inputs": [X], "outputs": [Y]},
        {"examples": [{"inputs": [X]}], "relative_tolerance": 0, "absolute_tolerance": 0},
        [[1, 2], [3, 4], [5, 6]],
        {"examples": [[1, 2]]},
        [],
    ],
)
def test_every_form_is_read_and_holds(content):
    assert mismatches(Adder(), parse(content)) == []


def test_rows_become_one_request():
    (one,) = parse([[1, 2], [3, 4], [5, 6]]).examples
    np.testing.assert_array_equal(one.inputs[0], [[1, 2], [3, 4], [5, 6]])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([{"inputs": [{**X, "shape": [1, 3]}]}], "golden request 1: input 'x' has shape"),
        (
            [{"inputs": [X]}, {"inputs": [{**X, "name": "z"}]}],
            "golden request 2: unknown input 'z'",
        ),
        ([{"inputs": [X], "outputs": [{**Y, "name": "z"}]}], "name is 'z', expected one of y"),
        ([{"inputs": [X], "outputs": [{**Y, "datatype": "INT8"}]}], "expected FP32"),
        (
            [{"inputs": [X], "outputs": [{**Y, "shape": [-1]}]}],
            r"request 1\.outputs\[0\]\.shape\[0\] is -1, expected a whole number, at least 0",
        ),
        ([{"inputs": [X], "outputs": [{**Y, "data": ["a"]}]}], "output 'y': element 0 is 'a'"),
        ([{"outputs": [Y]}], "inputs is missing"),
        ({"examples": {}}, "expected a list"),
        ({"examples": [], "relative_tolerance": -1}, "expected a number from 0"),
        ({"examples": [], "absolute_tolerance": "much"}, "expected a number"),
        ("text", "it is 'text', expected an object"),
        ([[1, 2], [3]], "golden request 1: input 'x': a list at depth 2"),
    ],
)
def test_what_is_no_example_is_refused_with_its_place(content, reason):
    with pytest.raises(ModelRefused, match=reason):
        parse(content)


def test_what_is_not_json_is_refused():
    with pytest.raises(ModelRefused, match=r"examples\.json: not valid JSON"):
        parse_examples(b"[NaN]", SIGNATURE)


def test_rows_need_a_model_with_one_input():
    two = replace(SIGNATURE, inputs=(*SIGNATURE.inputs, TensorSpec("z", "FP32", (-1,))))
    with pytest.raises(ModelRefused, match="a list of rows is for"):
        parse_examples(b"[[1, 2]]", two)


def test_a_version_without_the_file_has_none(tmp_path):
    assert read_examples(tmp_path, SIGNATURE).examples == ()


def test_each_mismatch_is_named():
    wrong = [{"inputs": [X], "outputs": [{**Y, "data": [3.5]}, {**LABEL, "data": ["even"]}]}]
    assert mismatches(Adder(), parse(wrong)) == [
        "golden request 1: output 'y' is 3 at [0], stored is 3.5: off by 0.5, allowed is 0.00351",
        "golden request 1: output 'label' is b'odd' at [0], stored is b'even'",
    ]


def test_a_request_that_fails_is_a_mismatch():
    failing = parse([{"inputs": [{**X, "data": [-1, 0]}]}])
    assert mismatches(Adder(), failing) == ["golden request 1 fails: negative"]


def test_not_every_mismatch_of_thousands_is_reported():
    wrong = [{"inputs": [X], "outputs": [{**Y, "data": [9]}]}] * 1000
    assert len(mismatches(Adder(), parse(wrong))) == 5


FLOATS = arrays(np.float32, array_shapes(max_dims=3, max_side=4), elements=st.floats(width=32))


@given(FLOATS)
def test_an_output_is_like_itself_nan_and_infinity_included(array):
    assert difference(array, array.copy(), 0, 0) == ""


@given(FLOATS.filter(lambda one: np.isfinite(one).all()), st.floats(0, 0.5))
def test_the_tolerance_is_relative_to_what_was_stored(stored, relative):
    off = stored.astype(np.float64) * (1 + relative)
    assert difference(off, stored, relative + 1e-9, 1e-300) == ""
    if relative > 1e-3 and np.abs(stored).max(initial=0) > 1e-30:
        assert "off by" in difference(off, stored, relative / 2, 0)


@pytest.mark.parametrize(
    ("actual", "stored"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (1.0, np.inf)]
)
def test_nan_and_infinity_are_like_nothing_else(actual, stored):
    assert difference(np.array([actual]), np.array([stored]), 1.0, 1.0)


def test_another_shape_is_a_difference():
    assert difference(np.ones(2), np.ones((2, 1)), 1, 1) == "has shape [2], stored is [2, 1]"
