"""Baselines of files: what they hold, and what is refused."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from penstock.monitoring.drift.baseline import decode, encode
from penstock.monitoring.drift.baseline_building import BadData, build_baseline

MADE = "2031-01-01T00:00:00Z"


def write(path, columns):
    names = list(columns)
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(names), *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(4)
    return write(
        tmp_path / "train.csv",
        {
            "age": rng.normal(40, 10, 25_000).round(3),
            "income": np.where(rng.random(25_000) < 0.1, "", rng.lognormal(10, 1, 25_000).round(2)),
            "city": rng.choice(["Bern", "Oslo", "Rome"], 25_000, p=[0.5, 0.3, 0.2]),
            "target": rng.integers(0, 2, 25_000),
        },
    )


def test_counts_are_exact_and_bound_to_the_data(table):
    baseline = build_baseline(table, MADE, leave_out=["target"])
    assert list(baseline.references) == ["age", "income", "city"]
    assert baseline.data == "sha256:" + hashlib.sha256(table.read_bytes()).hexdigest()
    assert all(one.rows + one.fitted == 25_000 for one in baseline.references.values())
    age, income, city = baseline.references.values()
    assert age.moments.mean == pytest.approx(40, abs=0.3)
    assert age.moments.deviation == pytest.approx(10, abs=0.2)
    assert age.counts[2:20].min() > 500
    missing = income.counts[income.bins.labels.index("missing")]
    assert missing / income.rows == pytest.approx(0.1, abs=0.01)
    assert city.bins.categories == ("Bern", "Oslo", "Rome")
    assert len(age.limits) == 2
    assert age.variations is None


def test_it_survives_its_file(table):
    baseline = build_baseline(table, MADE)
    again = decode(encode(baseline))
    assert again.id == baseline.id
    assert encode(again) == encode(baseline)


def test_the_same_file_gives_the_same_baseline(table):
    assert build_baseline(table, MADE).id == build_baseline(table, MADE).id


def test_rows_in_order_teach_how_much_healthy_data_varies(tmp_path):
    rng = np.random.default_rng(4)
    steady = rng.normal(size=24_000)
    cycle = steady + np.sin(np.arange(24_000) / 24_000 * 20 * np.pi)
    path = write(tmp_path / "t.csv", {"steady": steady, "cycle": cycle})
    found = build_baseline(path, MADE, in_order=True).references
    assert found["steady"].variations == {}
    assert found["cycle"].variations["all"].mean * 500 / 19 > 5


def test_a_number_that_turns_out_to_be_text_is_a_category(tmp_path):
    values = [*range(20_000), "unknown"]
    found = build_baseline(write(tmp_path / "t.csv", {"x": values}), MADE).references["x"]
    assert found.categorical
    assert found.rows + found.fitted == 20_001


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n3\n", ":3: 1 fields"),
        ('a,b\n1,2\n3,"4\n5,6\n', "no second one"),
        ("a,a\n1,2\n", "same name"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, words):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(BadData, match=words):
        build_baseline(path, MADE)


def test_a_wrong_target_and_another_format_are_refused(table, tmp_path):
    with pytest.raises(BadData, match="no column 'label'"):
        build_baseline(table, MADE, leave_out=["label"])
    with pytest.raises(BadData, match=r"expected a \.csv"):
        build_baseline(tmp_path / "t.xlsx", MADE)


def test_parquet_is_read_as_csv_is(table, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "train.parquet"
    duckdb.sql(f"COPY (SELECT * FROM read_csv('{table}')) TO '{path}' (FORMAT parquet)")
    csv, parquet = (build_baseline(one, MADE).references for one in (table, path))
    assert parquet.keys() == csv.keys()
    for name, one in csv.items():
        assert parquet[name].counts.tolist() == one.counts.tolist()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": "penstock-baseline-1"}', b"x"])
def test_what_is_no_baseline_is_refused(data):
    with pytest.raises(ValueError, match=r"baseline|Expecting"):
        decode(data)


def test_counts_that_do_not_fit_are_refused(table):
    data = encode(build_baseline(table, MADE))
    with pytest.raises(ValueError, match="do not fit"):
        decode(data.replace(b'"counts":[', b'"counts":[1,', 1))
