"""Which baselines are taken, and what of them is kept."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.monitoring.drift.baseline import FROM_FILE, Baseline
from penstock.monitoring.drift.learning import category_reference, number_reference
from penstock.monitoring.drift.options import DriftOptions
from penstock.runtimes.contract import Signature, TensorSpec
from penstock.server.config.model_log import LogOptions
from penstock.server.drift.acceptance import Unfit, accept

NUMBERS = number_reference(np.random.default_rng(1).normal(size=500))
WORDS = category_reference(["anna", "otto"] * 250)
OPTIONS = DriftOptions()


def baseline(digest="", **references):
    return Baseline(references, FROM_FILE, "sha256:data", digest, "2031-01-01T00:00:00Z")


def signature(*inputs):
    specs = [TensorSpec(name, kind, (-1, *shape)) for name, kind, shape in inputs]
    return Signature(tuple(specs), (TensorSpec("y", "FP32", (-1,)),), batch_axis=True)


CHURN = signature(("user", "BYTES", ()), ("age", "FP32", ()), ("pay", "FP32", (2,)))


def test_inputs_that_may_not_be_known_are_left_out_and_the_rest_fits():
    given = baseline(**{"user": WORDS, "age": NUMBERS, "pay[0]": NUMBERS, "pay[1]": NUMBERS})
    log = LogOptions(hash=("pay",), subject="user")
    kept, left_out = accept(given, "sha256:files", CHURN, OPTIONS, log)
    assert left_out == ["user", "pay[0]", "pay[1]"]
    assert list(kept.references) == ["age"]
    assert kept.digest == "sha256:files"
    assert kept.data == "sha256:data"
    with pytest.raises(Unfit, match="no input that may be watched"):
        accept(given, "", CHURN, OPTIONS, LogOptions(drop=("pay", "age"), hash=("user",)))


@pytest.mark.parametrize("names", [("user", "pay[1]"), ("one", "two", "three", "four")])
def test_some_of_the_names_or_as_many_columns_are_enough(names):
    given = baseline(**dict.fromkeys(names, NUMBERS))
    assert accept(given, "", CHURN, OPTIONS, LogOptions())[1] == []


def test_a_table_of_something_else_is_refused():
    with pytest.raises(Unfit, match=r"2 inputs, the model 4, .* x, y and user, age, pay\[0\]"):
        accept(baseline(x=NUMBERS, y=NUMBERS), "", CHURN, OPTIONS, LogOptions())


def test_what_cannot_be_told_is_taken():
    given = baseline(x=NUMBERS, y=NUMBERS)
    assert accept(given, "", None, OPTIONS, LogOptions())[1] == []
    open_size = signature(("text", "INT64", (-1,)))
    assert accept(given, "", open_size, OPTIONS, LogOptions())[1] == []


def test_too_few_rows_and_other_files_are_refused():
    few = baseline(age=number_reference(np.arange(99.0)))
    with pytest.raises(Unfit, match="99 rows, expected at least 100"):
        accept(few, "", CHURN, OPTIONS, LogOptions())
    with pytest.raises(Unfit, match="is of sha256:a, the version is sha256:b"):
        accept(baseline("sha256:a", age=NUMBERS), "sha256:b", CHURN, OPTIONS, LogOptions())
