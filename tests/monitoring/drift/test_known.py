"""The baseline of a version, and which of its columns are compared with it."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest

from penstock.monitoring.drift.baseline import FROM_ACCEPTED, FROM_FILE, Baseline
from penstock.monitoring.drift.baseline_files import BaselineFiles, write_baseline
from penstock.monitoring.drift.bins import text
from penstock.monitoring.drift.known import KnownVersion
from penstock.monitoring.drift.learning import category_reference, number_reference
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.schema import Schema
from penstock.monitoring.samples.samples import BatchSample


def test_a_published_baseline_is_used_without_inputs_that_come_hashed_or_not_at_all(tmp_path):
    rng = np.random.default_rng(3)
    people = category_reference([f"person {one}" for one in range(40)] * 10)
    built = {"x[0]": number_reference(rng.normal(size=400)), "colour": people, "who": people}
    files = BaselineFiles(tmp_path)
    write_baseline(files.built("m", "1"), Baseline(built, FROM_FILE))
    known = KnownVersion(
        DriftOptions(),
        [files.built("m", "1")],
        files.learnt("m", "1"),
        "",
        lambda: "2031-01-01T00:00:00Z",
        Schema("who"),
        {"colour", "who"},
    )
    words = np.array([b"0123"] * 50, dtype=object)
    sample = BatchSample(
        "m", "1", 1e9, [b"r"], [0, 50], [200], [0.1], ("who", "x", "colour"),
        [words, rng.normal(size=(50, 2)), words], (), [], [1e9],
    )  # fmt: skip
    assert [name for name, _, _ in known.rows([sample])] == ["x[0]"]
    assert known.problem == ""
    assert known.source == FROM_FILE


def of_rows(rows, outputs=("y",)):
    n = len(rows)
    scores = [np.zeros((n, 1))] * len(outputs)
    return BatchSample(
        "m", "1", 1e9, [b"r"], [0, n], [200], [0.1], ("x",), [rows], outputs, scores, [1e9]
    )


def known_of(files, names, **options):
    places, learnt = [files.built("m", "1")], files.learnt("m", "1")
    now = lambda: "2031-01-01T00:00:00Z"  # noqa: E731
    wanted = DriftOptions(min_rows=40, learning_rows=50, baseline_seconds=0, **options)
    accepted = files.accepted("m", "1")
    return KnownVersion(wanted, places, learnt, "", now, Schema(), (), names, accepted)


def names_in(known, rows, **more):
    sample = of_rows(rows, **more)
    assert not list(known.rows([sample])) or known.learner is None
    if known.learner is not None:
        assert known.settle(2e9)
    return sorted(known.references)


NAMES = {"x[0]": "age", "x[1]": "income"}


def test_columns_are_learnt_under_the_names_of_the_model(tmp_path):
    rows = np.random.default_rng(3).normal(size=(60, 2))
    files = BaselineFiles(tmp_path)
    assert names_in(known_of(files, NAMES), rows) == ["age", "income", "y"]
    assert names_in(known_of(files, NAMES), rows) == ["age", "income", "y"]  # the next life
    other = known_of(BaselineFiles(tmp_path / "other"), NAMES, features=("a", "b"))
    assert names_in(other, rows) == ["a", "b", "y"]


def test_what_was_learnt_under_other_names_keeps_them(tmp_path):
    rows = np.random.default_rng(3).normal(size=(60, 2))
    files = BaselineFiles(tmp_path)
    assert names_in(known_of(files, {}), rows) == ["x[0]", "x[1]", "y"]
    assert names_in(known_of(files, NAMES), rows) == ["x[0]", "x[1]", "y"]


def test_names_that_do_not_tell_columns_apart_are_not_used(tmp_path):
    rows = np.random.default_rng(3).normal(size=(60, 2))
    for number, names in enumerate(({"x[0]": "y"}, {"x[0]": "x[1]"})):
        files = BaselineFiles(tmp_path / str(number))
        assert names_in(known_of(files, names), rows) == ["x[0]", "x[1]", "y"]


def test_an_accepted_baseline_comes_before_all_others_and_keeps_the_names(tmp_path):
    rng = np.random.default_rng(3)
    rows, files = rng.normal(size=(60, 2)), BaselineFiles(tmp_path)
    assert names_in(known_of(files, NAMES), rows) == ["age", "income", "y"]
    own = known_of(files, NAMES).references
    accepted = Baseline(
        {"age": number_reference(rng.normal(5, 1, 400)), "y": own["y"]}, FROM_ACCEPTED
    )
    files.accept("m", "1", accepted)
    known = known_of(files, NAMES)
    assert [one.name for one in known.rows([of_rows(rows)])] == ["age", "y"]
    assert (known.id, known.source) == (accepted.id, FROM_ACCEPTED)
    assert known.settle(2e9)  # what was left out is learnt, under the name it had
    assert sorted(known.references) == ["age", "income", "y"]
    assert known.references["age"].moments.mean > 4
    # One that is built afterwards, of columns in order, comes before it.
    built = Baseline({one: number_reference(rng.normal(size=400)) for one in "ab"}, FROM_FILE)
    files.replace("m", "1", built)
    assert known.refresh()
    assert known.id == built.id
    assert [one.name for one in known.rows([of_rows(rows)])][:2] == ["a", "b"]
    files.accept("m", "1", Baseline(dict(known.references), FROM_ACCEPTED))
    known = known_of(files, NAMES)
    assert [one.name for one in known.rows([of_rows(rows)])][:2] == ["a", "b"]
    assert known.problem == ""


def test_an_accepted_baseline_of_other_files_is_left_aside_and_said(tmp_path):
    files = BaselineFiles(tmp_path)
    other = Baseline({"x[0]": number_reference(np.zeros(400))}, FROM_ACCEPTED, digest="sha256:b")
    files.accept("m", "1", other)
    known = KnownVersion(
        DriftOptions(), [], files.learnt("m", "1"), "sha256:a", lambda: "", Schema(),
        accepted=files.accepted("m", "1"),
    )  # fmt: skip
    assert known.references == {}
    assert "of other files" in known.problem


CLASSES = {"y": ("no", "yes")}


def labelled(labels):
    n = len(labels)
    labels = np.array(labels, object if isinstance(labels[0], bytes) else None)
    return BatchSample(
        "m", "1", 1e9, [b"r"], [0, n], [200], [0.1], ("x",), [np.zeros((n, 1))], ("y",),
        [labels], [1e9],
    )  # fmt: skip


def classed(files, categories):
    now = lambda: "2031-01-01T00:00:00Z"  # noqa: E731
    wanted = DriftOptions(min_rows=40, learning_rows=50, baseline_seconds=0)
    places, learnt = [files.built("m", "1")], files.learnt("m", "1")
    return KnownVersion(wanted, places, learnt, "", now, categories=categories)


def learn(files, categories, labels=(0, 1, 1)):
    """A version that learns these labels, over and over; the categories and counts of a window."""
    known = classed(files, categories)
    list(known.rows([labelled([*labels] * 40)]))
    if known.learner is not None:
        assert known.settle(2e9)
    bins = known.references["y"].bins
    (cells,) = [one for one in known.rows([labelled([0, 1, 1, 7])]) if one.name == "y"]
    return dict(zip(bins.labels, bins.count(cells.values.tolist()).tolist(), strict=True))


def test_numbered_classes_are_counted_by_the_names_of_the_model(tmp_path):
    expected = {"yes": 2, "no": 1, "(other)": 0, "(new)": 1, "(missing)": 0}
    found = learn(BaselineFiles(tmp_path), CLASSES)
    assert list(found.values()) == list(expected.values())
    assert list(found)[:2] == ["yes", "no"]
    assert learn(BaselineFiles(tmp_path), CLASSES) == found  # the next life


def test_classes_that_an_earlier_release_learnt_by_number_keep_it(tmp_path):
    files = BaselineFiles(tmp_path)
    before = learn(files, {})
    assert list(before)[:2] == ["1", "0"]
    assert learn(files, CLASSES) == before


def test_a_learner_that_began_with_numbers_goes_on_with_them(tmp_path):
    files = BaselineFiles(tmp_path)
    known = classed(files, {})
    list(known.rows([labelled([0, 1] * 10)]))
    again = classed(files, CLASSES)
    again.restore(msgpack.unpackb(msgpack.packb(known.learner.state())))
    list(again.rows([labelled([0, 1] * 20)]))
    assert {str(one) for one in again.learner.columns()["y"].values.tolist()} == {"0", "1"}


def test_a_learner_with_names_survives_a_restart(tmp_path):
    files = BaselineFiles(tmp_path)
    known = classed(files, CLASSES)
    list(known.rows([labelled([0, 1] * 10)]))
    again = classed(files, CLASSES)
    again.restore(msgpack.unpackb(msgpack.packb(known.learner.state())))
    list(again.rows([labelled([0, 1] * 20)]))
    found = set(map(text, again.learner.columns()["y"].values.tolist()))
    assert found == {"no", "yes"}


@pytest.mark.parametrize(
    "names", [("1", "0"), ("a", "a"), ("", "b"), ("1", "b"), ("x" * 300, "x" * 301)]
)
def test_names_that_do_not_tell_classes_apart_are_not_used(tmp_path, names):
    assert list(learn(BaselineFiles(tmp_path), {"y": names}))[:2] == ["1", "0"]


@pytest.mark.parametrize("labels", [[True, False, True], [b"a", b"b", b"b"]])
def test_labels_that_are_no_positions_stay_as_they_are(tmp_path, labels):
    found = learn(BaselineFiles(tmp_path), CLASSES, labels)
    assert not {"no", "yes"} & found.keys()
