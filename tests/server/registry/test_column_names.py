from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from penstock.runtimes.contract import Column, Signature, TensorSpec
from penstock.server.errors import InvalidRequest
from penstock.server.registry.column_file import read_columns
from penstock.server.registry.column_names import Misnamed, adopted, with_classes, with_columns
from penstock.server.registry.signature_diff import breaking_changes

if TYPE_CHECKING:
    from pathlib import Path

AGE, CITY = Column("age"), Column("city", ("Oslo", "Bergen"), missing=True)


def signature(*columns: Column, width: int = 2, label: tuple[Column, ...] = ()) -> Signature:
    return Signature(
        (TensorSpec("x", "FP32", (-1, width), columns=columns),),
        (
            TensorSpec("label", "INT64", (-1,), columns=label),
            TensorSpec("probabilities", "FP32", (-1, 2)),
        ),
        batch_axis=True,
    )


def columns_of(found: Signature) -> tuple[Column, ...]:
    return tuple(column for spec in found.inputs for column in spec.columns)


def test_a_model_without_names_takes_those_of_its_owner() -> None:
    assert columns_of(with_columns(signature(), [AGE, CITY])) == (AGE, CITY)


def test_a_model_with_names_keeps_them_and_takes_what_they_lack() -> None:
    found = with_columns(signature(Column("city", ()), AGE), [AGE, CITY])
    assert columns_of(found) == (CITY, AGE)
    spelt = with_columns(signature(Column("home_city"), AGE), [AGE, Column("home city")])
    assert columns_of(spelt) == (Column("home city"), AGE)


def test_the_order_of_columns_of_several_inputs_keeps_their_names() -> None:
    inputs = (
        TensorSpec("numbers", "FP32", (-1, 2), columns=(Column("a_1"), Column("c"))),
        TensorSpec("texts", "BYTES", (-1, 1), columns=(Column("b"),)),
    )
    model = Signature(inputs, (), batch_axis=True, column_order=("a_1", "b", "c"))
    found = with_columns(model, [Column("a 1"), Column("b"), Column("c")])
    assert found.column_order == ("a 1", "b", "c")
    assert [one.name for one in columns_of(found)] == ["a 1", "c", "b"]


@pytest.mark.parametrize(
    ("model", "columns", "words"),
    [
        (signature(width=3), [AGE, CITY], "the model has 3 columns, and 2 are named"),
        (signature(), [AGE, AGE], "a name of a column is given twice"),
        (
            signature(AGE, Column("city", ("a", "b", "c"))),
            [AGE, Column("city", ("Oslo", "Oslo", "Bergen"))],
            "a category of column 'city' is given twice",
        ),
        (signature(AGE, CITY), [AGE, Column("town")], "calls its columns 'age', 'city', not"),
        (
            signature(AGE, CITY),
            [AGE, Column("city", ("Oslo",))],
            "column 'city' has 2 categories in the model, and 1 are named",
        ),
        (
            Signature((TensorSpec("x", "FP32", (-1, -1)),), (), batch_axis=True),
            [AGE],
            "open or several axes",
        ),
    ],
)
def test_names_that_do_not_fit_are_told(
    model: Signature, columns: list[Column], words: str
) -> None:
    with pytest.raises(Misnamed, match=words):
        with_columns(model, columns)


def test_classes_name_probabilities_and_positions_but_no_other_labels() -> None:
    position = signature(label=(Column("label", ()),))
    label, probabilities = with_classes(position, ["no", "yes"]).outputs
    assert label.columns == (Column("label", ("no", "yes")),)
    assert probabilities.columns == (Column("no"), Column("yes"))
    assert with_classes(signature(), ["no", "yes"]).outputs[0].columns == ()
    with pytest.raises(Misnamed, match="3 classes are named, and an output has 2"):
        with_classes(position, ["a", "b", "c"])


def test_the_manifest_adds_names_and_does_not_replace_them() -> None:
    assert columns_of(adopted(signature(), signature(AGE, CITY))) == (AGE, CITY)
    assert columns_of(adopted(signature(AGE, CITY), signature(CITY, AGE))) == (AGE, CITY)
    assert adopted(signature(AGE, CITY), None) == signature(AGE, CITY)
    listed = adopted(signature(AGE, Column("city", ())), signature(AGE, CITY))
    assert columns_of(listed) == (AGE, CITY)


@pytest.mark.parametrize(
    ("after", "breaks"),
    [
        ((AGE, CITY), False),
        ((AGE, Column("city", ("Oslo", "Bergen", "Moss"), missing=True)), False),
        ((AGE, Column("city", ("Bergen", "Oslo"), missing=True)), True),
        ((AGE, Column("city", ("Oslo", "Bergen"))), True),
        ((CITY, AGE), True),
        ((), True),
    ],
)
def test_a_version_that_renames_breaks_clients(after: tuple[Column, ...], breaks: bool) -> None:
    assert bool(breaking_changes(signature(AGE, CITY), signature(*after))) == breaks
    assert not breaking_changes(signature(), signature(*after))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("c.json", '["age", "b c"]', (Column("age"), Column("b c"))),
        (
            "c.json",
            json.dumps([{"name": "city", "categories": ["Oslo", 2], "missing": True}]),
            (Column("city", ("Oslo", 2), missing=True),),
        ),
        (
            "t.csv",
            '\ufeffage,"a, b",target\r\n1,2,3\n',
            tuple(map(Column, ("age", "a, b", "target"))),
        ),
        ("t.tsv", "age\tincome\n", (Column("age"), Column("income"))),
        ("one.csv", "age\n1\n", (Column("age"),)),
    ],
)
def test_columns_are_read_from_json_and_headers(
    tmp_path: Path, name: str, content: str, expected: tuple[Column, ...]
) -> None:
    (tmp_path / name).write_text(content)
    assert read_columns(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("c.json", "{}", "holds no columns; expected a list"),
        ("c.json", "[1]", "column 0"),
        ("c.json", '[{"name": "a", "sort": 1}]', "sort"),
        ("c.json", "[", "c.json"),
        ("t.csv", "", "no header of names"),
        ("t.csv", "a,,b\n", "no header of names"),
        ("t.csv", '"a\n', "no header of names"),
    ],
)
def test_a_file_without_names_is_refused(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidRequest, match=words):
        read_columns(tmp_path / name)
