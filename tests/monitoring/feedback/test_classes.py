"""A label means the same, however it is spelled; what is no class of the model is told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from penstock.monitoring.feedback.classes import Classes, number_of, plain_name
from penstock.monitoring.feedback.label import Label, LabelError, parse_label
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.report import Span, performance

NOW = 1_700_000_000.0
DAY = Span(NOW - 86_400, NOW + 86_400, 3600)
ONES = (1, 1.0, True, "1", "1.0", " 1", "1 ", "True", "TRUE", "true", "01", "1e0", np.int64(1))
ZEROS = (0, 0.0, False, "0", "0.0", " 0", "0 ", "False", "FALSE", "false", "00", "0e0", np.bool(0))
HALF = np.array([[0.6, 0.4], [0.4, 0.6]], np.float32)

#: What the model gives for two rows -> spellings of the first label and of the second.
SPELLINGS = {
    "bool": (np.array([False, True]), ZEROS, ONES),
    "int64": (np.array([0, 1]), ZEROS, ONES),
    "uint8": (np.array([0, 1], np.uint8), ZEROS, ONES),
    "text": (np.array([b"no", b"yes"], object), ("no", " no"), ("yes", "yes ")),
    "digits": (np.array([b"0", b"1"], object), ZEROS[:10], ONES[:10]),
    "floats as text": (np.array([b"0.0", b"1.0"], object), ZEROS[:6], ONES[:6]),
    "booleans as text": (np.array([b"False", b"True"], object), ZEROS[:10], ONES[:10]),
}


def judged(store, batch, outputs, labels, model="m"):
    """Hand over two labels of two predictions, and see what becomes of them."""
    store.take([batch([f"{model}a", f"{model}b"], outputs, model=model)])
    store.tick(NOW + 1)
    given = [
        parse_label({"request_id": f"{model}{one}", "label": label}, 0, NOW + 2)
        for one, label in zip("ab", labels, strict=True)
    ]
    outcomes = store.feedback(given, NOW + 2)
    store.tick(NOW + 60)
    return outcomes


@pytest.mark.parametrize("output", SPELLINGS)
def test_a_perfect_model_has_accuracy_1_however_its_labels_are_spelled(
    tmp_path, keep, batch, output
):
    given, zeros, ones = SPELLINGS[output]
    store = keep()
    for number, labels in enumerate(zip(zeros, ones, strict=True)):
        model = f"m{number}"
        assert "not_comparable" not in judged(store, batch, {"y": given}, labels, model)
        (found,) = performance(tmp_path, model, DAY)["versions"]
        assert found["figures"]["accuracy"]["value"] == 1.0, labels
        assert (found["labels"], found["not_comparable"]) == (2, 0)


@pytest.mark.parametrize("spelling", [1.5, "1.5", " 1.50 ", "15e-1", np.float32(1.5)])
def test_numbers_as_texts_are_numbers(tmp_path, keep, batch, spelling):
    labels = (spelling, "-2")
    outcomes = judged(keep(), batch, {"y": np.array([1.5, -2.0], np.float32)}, labels)
    assert "not_comparable" not in outcomes
    (found,) = performance(tmp_path, "m", DAY)["versions"]
    assert found["figures"]["mae"]["value"] == 0.0


@pytest.mark.parametrize(
    ("given", "label"),
    [
        (np.array([0, 1]), "cat"),
        (np.array([0, 1]), "0.5"),
        (np.array([False, True]), 2),
        (np.array([False, True]), "maybe"),
        (np.array([1.5, 2.5], np.float32), "cat"),
        (np.array([1.5, 2.5], np.float32), "nan"),
        (np.array([b"no", b"yes"], object), 1),
    ],
)
def test_what_is_no_class_is_counted_and_told_and_not_scored(tmp_path, keep, batch, given, label):
    store = keep()
    first = "no" if given.dtype.hasobject else given.tolist()[0]
    outcomes = judged(store, batch, {"y": given}, (first, label))
    assert outcomes["not_comparable"] == 1
    (found,) = performance(tmp_path, "m", DAY)["versions"]
    assert (found["labels"], found["not_comparable"]) == (1, 1)
    assert found["not_comparable_examples"] == [label]
    main = found["figures"].get("accuracy") or found["figures"]["mae"]
    assert main["value"] == (1.0 if "accuracy" in found["figures"] else 0.0)
    told = performance(tmp_path, "m", DAY)["feedback"]
    assert told["not_comparable"] == 1


def test_a_label_that_waits_for_its_prediction_is_counted_when_they_meet(tmp_path, keep, batch):
    store = keep()
    store.feedback([Label("a", "cat", NOW), Label("b", "1", NOW)], NOW)
    store.take([batch(["a", "b"], {"y": np.array([0, 1])})])
    store.tick(NOW + 1)
    (found,) = performance(tmp_path, "m", DAY)["versions"]
    assert (found["labels"], found["not_comparable"]) == (1, 1)


@pytest.mark.parametrize(
    ("outputs", "labels"),
    [
        ({"y": np.array([0, 1]), "p": HALF}, ("no", "yes")),
        ({"y": np.array([0, 1]), "p": HALF}, (0, "yes")),
        ({"y": np.array([b"no", b"yes"], object), "p": HALF}, (0, "1.0")),
        ({"p": HALF}, ("no", 1)),
        ({"p": HALF[:, 1:]}, (0, "yes")),
    ],
)
def test_names_and_numbers_of_declared_classes_are_the_same(tmp_path, keep, batch, outputs, labels):
    options = FeedbackOptions(classes=("no", "yes"), kind="classification", positive="yes")
    judged(keep(options), batch, outputs, labels)
    (found,) = performance(tmp_path, "m", DAY)["versions"]
    assert found["figures"]["accuracy"]["value"] == 1.0
    assert found["figures"]["auc"]["value"] == 1.0
    assert found["not_comparable"] == 0


def test_declared_classes_are_all_there_are(keep, batch):
    options = FeedbackOptions(classes=("no", "yes"))
    outputs = {"y": np.array([b"no", b"yes"], object)}
    assert judged(keep(options), batch, outputs, ("maybe", 2))["not_comparable"] == 2


def test_a_class_that_was_never_predicted_is_scored_and_told(tmp_path, keep, batch):
    outputs = {"y": np.array([b"no", b"yes"], object)}
    judged(keep(), batch, outputs, ("no", "Yes"))
    (found,) = performance(tmp_path, "m", DAY)["versions"]
    assert found["figures"]["accuracy"]["value"] == 0.5
    assert found["never_predicted"] == {"Yes": 1}


def test_codes_with_leading_zeros_are_texts():
    classes = Classes(texts=True, seen={"1234", "01234"})
    assert classes.spell("01234", "1234", ()) == "01234"
    assert Classes(texts=True, seen={"1234"}).spell("01234", "1234", ()) == "01234"
    assert plain_name("01") == "01"
    assert number_of("01") == 1.0


def test_what_fits_two_classes_is_neither():
    classes = Classes(texts=True, seen={"1", "True"})
    assert classes.spell("1", "1", ()) == "1"
    assert classes.spell("True", "1", ()) == "True"
    assert classes.spell("1.0", "1", ()) is None


def test_numbers_that_are_none():
    for text in ("", "nan", "inf", "1_000", "0x1", "\uff11", "1,5", "1e999", "--1"):
        assert number_of(text) is None, text
    assert number_of(" -1.5e2 ") == -150.0
    assert math.isclose(number_of("+.5"), 0.5)


@pytest.mark.parametrize("label", ["a\0b", "\ud800", "", "  ", "x" * 257, float("inf")])
def test_a_label_that_cannot_be_written_is_refused(label):
    with pytest.raises(LabelError, match="label is"):
        parse_label({"request_id": "a", "label": label}, 0, NOW)


@pytest.mark.parametrize("given", [7, 7.0, "7", " 7"])
def test_ids_and_rows_come_as_numbers_too(given):
    one = parse_label({"request_id": given, "label": 1, "index": given}, 0, NOW)
    assert (one.request_id, one.index) == ("7", 7)


def test_it_goes_on_after_a_restart(keep, batch):
    outputs = {"y": np.array([False, True])}
    judged(keep(), batch, outputs, (False, True))
    again = keep()
    assert again.feedback([Label("ma", 7, NOW + 9)], NOW + 9)["not_comparable"] == 1
    assert again.feedback([Label("ma", "false", NOW + 10)], NOW + 10) == {"corrected": 1}
