"""What a model may give back, and what is refused by the name of the output."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from penstock.batching.errors import InvalidOutput
from penstock.batching.outputs import check_outputs
from penstock.runtimes.contract import Signature, TensorSpec

SIGNATURE = Signature(
    (),
    (
        TensorSpec("label", "INT64", (-1,)),
        TensorSpec("y", "FP32", (-1, 2)),
        TensorSpec("word", "BYTES", (-1,)),
    ),
    batch_axis=True,
)
LABEL = np.arange(3)
Y = np.ones((3, 2), np.float32)
WORD = np.array([b"a", b"b", b"c"], object)


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        (None, "the model gave None, expected a list of 3 arrays"),
        (Y, "the model gave an object of type ndarray"),
        ({"y": Y}, "the model gave an object of type dict"),
        ([LABEL, Y], "the model gave 2 outputs, expected 3: label, y, word"),
        ([LABEL, Y, WORD, Y], "the model gave 4 outputs, expected 3"),
        ([LABEL, None, WORD], "output 'y' of the model is None, expected a numpy array"),
        ([LABEL, Y.tolist(), WORD], "output 'y' of the model is an object of type list"),
        ([LABEL, np.ma.array(Y), WORD], "output 'y' of the model is an object of type Masked"),
        ([LABEL, Y.astype(float), WORD], "output 'y' of the model has dtype float64, expected"),
        ([LABEL, Y.astype(">f4"), WORD], "output 'y' of the model has dtype >f4, expected"),
        ([LABEL.astype(np.int32), Y, WORD], "output 'label' of the model has dtype int32"),
        ([LABEL, Y[:2], WORD], "output 'y' of the model has shape [2, 2] for 3 rows"),
        ([LABEL, np.array(1, np.float32), WORD], "output 'y' of the model has shape [] for 3"),
        ([LABEL, Y.T, WORD], "output 'y' of the model has shape [2, 3] for 3 rows"),
        ([LABEL, Y, np.array(["a", b"b", 1], object)], "output 'word' of the model holds int, str"),
        ([LABEL, Y, np.array([b"a", b"b", b"c"])], "output 'word' of the model has dtype |S1"),
        ([Y, LABEL, WORD], "output 'label' of the model has dtype float32"),
    ],
)
def test_what_breaks_the_contract_is_refused_by_name(outputs, told):
    with pytest.raises(InvalidOutput, match=re.escape(told)):
        check_outputs(outputs, ("label", "y", "word"), SIGNATURE, 3)


def test_equal_types_need_no_closer_look(monkeypatch):
    """onnxruntime gives INT64 as another object than numpy's own int64, in every run."""
    label = LABEL.astype(np.longlong)
    assert label.dtype is not LABEL.dtype
    monkeypatch.setattr("penstock.batching.outputs._sound", None)
    signature = replace(SIGNATURE, outputs=SIGNATURE.outputs[:2])
    given = [label, Y]
    assert check_outputs(given, ("label", "y"), signature, 3) is given


@pytest.mark.parametrize(
    "y",
    [
        Y,
        np.asfortranarray(np.arange(6, dtype=np.float32).reshape(3, 2)),
        np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2],
        np.arange(12, dtype=np.float32).reshape(6, 2)[::-2],
        Y.view(np.recarray),
        np.ones((3, 0), np.float32),
    ],
    ids=["plain", "Fortran order", "columns of more", "rows of more", "a subclass", "no element"],
)
def test_what_keeps_it_comes_out_as_plain_contiguous_arrays(y):
    given = [LABEL, y, WORD]
    for outputs, names in (given, ("label", "y", "word")), (tuple(given[1:2]), ("y",)):
        checked = check_outputs(outputs, names, SIGNATURE, 3)
        found = checked[names.index("y")]
        assert type(found) is np.ndarray
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, y)


def test_outputs_may_be_asked_for_in_any_order():
    numbers = Signature((), SIGNATURE.outputs[:2], batch_axis=True)
    y, label = check_outputs([Y, LABEL], ("y", "label"), numbers, 3)
    assert (y is Y, label is LABEL) == (True, True)
    with pytest.raises(InvalidOutput, match="output 'y' of the model has dtype int64"):
        check_outputs([LABEL, Y], ("y", "label"), numbers, 3)


def test_rows_do_not_count_without_a_batch_axis():
    whole = Signature((), (TensorSpec("y", "FP32", ()),), batch_axis=False)
    (scalar,) = check_outputs([np.array(2, np.float32)], ("y",), whole, 1)
    assert scalar.shape == ()
    with pytest.raises(InvalidOutput, match="dtype float64"):
        check_outputs([np.zeros(())], ("y",), whole, 1)


def test_sound_outputs_are_not_copied():
    outputs = [LABEL, Y]
    signature = Signature((), SIGNATURE.outputs[:2], batch_axis=True)
    assert check_outputs(outputs, ("label", "y"), signature, 3) is outputs
