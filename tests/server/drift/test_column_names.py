"""Features of the drift monitor are called as the columns of the model."""

from __future__ import annotations

from penstock.runtimes.contract import VARIABLE, Column, Signature, TensorSpec
from penstock.server.drift.column_names import column_names


def signature(*inputs, rows=True):
    return Signature(inputs, (), batch_axis=False, rows_axis=rows)


def columns(*names):
    return tuple(map(Column, names))


def test_columns_are_named_by_the_features_that_are_made_of_them():
    found = column_names(
        signature(
            TensorSpec("x", "FP32", (VARIABLE, 2), columns=columns("age", "income")),
            TensorSpec("city", "BYTES", (VARIABLE, 1), columns=columns("home city")),
            TensorSpec("job", "BYTES", (VARIABLE,), columns=columns("profession")),
        )
    )
    assert found == {
        "x[0]": "age",
        "x[1]": "income",
        "city": "home city",
        "job": "profession",
    }


def test_inputs_that_are_not_named_as_a_whole_are_left_out():
    wide = tuple(f"c{number}" for number in range(300))
    given = signature(
        TensorSpec("few", "FP32", (VARIABLE, 3), columns=columns("a", "b")),
        TensorSpec("open", "FP32", (VARIABLE, VARIABLE), columns=columns("a")),
        TensorSpec("none", "FP32", (VARIABLE, 1)),
        TensorSpec("wide", "FP32", (VARIABLE, 300), columns=columns(*wide)),  # figures stand for it
    )
    assert column_names(given) == {}
    assert column_names(None) == {}


def test_scores_are_named_by_their_class_and_labels_are_not_renamed():
    outputs = (
        TensorSpec("label", "INT64", (VARIABLE,), columns=(Column("label", ("no", "yes")),)),
        TensorSpec("probabilities", "FP32", (VARIABLE, 2), columns=columns("no", "yes")),
        TensorSpec("bare", "FP32", (VARIABLE, 2)),
    )
    found = column_names(Signature((), outputs, batch_axis=True))
    assert found == {
        "probabilities[0]": "probabilities[no]",
        "probabilities[1]": "probabilities[yes]",
    }
