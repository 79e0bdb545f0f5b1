"""Batch jobs on a running server: formats, bad rows, and jobs that were killed."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import urllib.request

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.server.batch_job.batch_job import BatchJob, Order
from penstock.server.batch_job.job_failed import JobFailed
from penstock.server.batch_job.prediction_port import PredictionPort

PEOPLE = [
    {"id": "p1", "age": 31, "city": "Oslo", "income": None},
    {"id": "p2", "age": 52.5, "city": "Rome", "income": 2.25},
    {"id": "p3", "age": 23, "city": "Bern", "income": 1e-3},
]


def write(path, rows):
    """The rows as a file of the format of its suffix."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


def read(path):
    """The rows of an output."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def pairs(count, seed=3):
    numbers = np.random.default_rng(seed).normal(0, 100, (count, 2))
    return [{"id": at, "a": float(a), "b": float(b)} for at, (a, b) in enumerate(numbers)]


def sums(rows):
    return [np.float32(row["a"]) + np.float32(row["b"]) for row in rows]


@pytest.mark.parametrize("before", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("after", [".csv", ".jsonl", ".parquet"])
def test_every_format_to_every_format(job, tmp_path, before, after):
    rows = pairs(1000)
    done = job("sum", write(tmp_path / f"in{before}", rows), f"out{after}", "1", keys=("id",))
    assert (done.outcome.rows, done.outcome.failed, done.told) == (1000, 0, [])
    found = read(done.path)
    assert [int(row["id"]) for row in found] == list(range(1000))
    assert [np.float32(row["sum"]) for row in found] == sums(rows)
    assert list(found[0])[:2] == ["id", "sum"]
    assert {row.get("error") or None for row in found} == {None}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_categories_and_missing_values_mean_what_they_mean_in_predict(
    job, server, tmp_path, suffix
):
    rows = [{name: value for name, value in row.items() if name != "id"} for row in PEOPLE]
    body = json.dumps({"instances": rows}).encode()
    request = urllib.request.Request(f"{server.url}/v1/models/person:predict", body)
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        expected = json.loads(answer.read())["predictions"]
    done = job("person", write(tmp_path / f"in{suffix}", PEOPLE), "out.jsonl", keys=("id",))
    found = read(done.path)
    assert found == [{"id": row["id"], **one} for row, one in zip(PEOPLE, expected, strict=True)]


def test_outputs_of_several_elements_keep_their_names(job, tmp_path):
    rows = [{"x0": 1.0, "x1": 2.0, "x2": 3.0}, {"x0": 4.0, "x1": 5.0, "x2": 0.1}]
    source = write(tmp_path / "in.csv", rows)
    assert read(job("matrix", source, "out.parquet").path)[0] == {
        "y": [1.0, 2.0, 3.0],
        "error": None,
    }
    assert read(job("matrix", source, "out.csv").path)[1] == {"y": "[4.0,5.0,0.1]", "error": ""}
    assert read(job("matrix", source, "out.jsonl").path)[1] == {"y": [4.0, 5.0, 0.1]}
    people = write(tmp_path / "people.jsonl", PEOPLE)
    (first, *_) = read(job("person", people, "out2.parquet").path)
    assert set(first) >= {"label", "probabilities"}


def test_all_columns_are_carried_with_their_types(job, tmp_path):
    rows = [{"a": 1.0, "b": 2.0, "sum": "mine", "day": [1, 2], "error": 7}]
    source = write(tmp_path / "in.parquet", rows)
    (row,) = read(job("sum", source, "out.parquet", "1", all_columns=True).path)
    assert row == {
        "a": 1.0, "b": 2.0, "sum_input": "mine", "day": [1, 2], "error_input": 7,
        "sum": 3.0, "error": None,
    }  # fmt: skip
    (row,) = read(job("sum", source, "out.csv", "1", all_columns=True).path)
    assert (row["sum_input"], row["day"], row["sum"]) == ("mine", "[1,2]", "3.0")


def test_a_named_version_answers(job, tmp_path):
    source = write(tmp_path / "in.csv", [{"a": 3, "b": 4}])
    assert read(job("sum", source, version="1").path)[0]["sum"] == "7.0"
    newest = job("sum", source)
    assert (newest.outcome.version, read(newest.path)[0]["sum"]) == ("2", "12.0")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_rows_that_the_model_fails_at_fail_alone(job, tmp_path, suffix):
    rows = [{"i": at % 4, "key": f"k{at}"} for at in range(200)]
    for at in (0, 77, 78, 199):
        rows[at]["i"] = 9
    done = job("row", write(tmp_path / f"in{suffix}", rows), f"out{suffix}", keys=("key",))
    assert (done.outcome.rows, done.outcome.failed) == (200, 4)
    for at, row in enumerate(read(done.path)):
        assert row["key"] == f"k{at}"
        if rows[at]["i"] == 9:
            assert row["error"]
            assert not row.get("y")
        else:
            assert float(row["y"]) == 5 + at % 4
            assert not row.get("error")


def test_values_that_are_none_of_their_column_fail_alone(job, tmp_path):
    rows = [dict(PEOPLE[at % 3], id=at) for at in range(60)]
    rows[7]["city"] = "Atlantis"
    rows[30]["age"] = "old"
    done = job("person", write(tmp_path / "in.jsonl", rows), "out.jsonl", keys=("id",))
    found = read(done.path)
    assert {at for at, row in enumerate(found) if "error" in row} == {7, 30}
    assert "row 7" in found[7]["error"]
    assert "'city'" in found[7]["error"]
    assert found[7]["id"] == 7


def test_numbers_that_are_too_large_are_no_infinity(job, tmp_path):
    rows = [{"a": 1.0, "b": 2.0}, {"a": 1e300, "b": 1.0}, {"a": 5.0, "b": 6.0}]
    for suffix in (".csv", ".parquet"):
        done = job("sum", write(tmp_path / f"in{suffix}", rows), "out.jsonl", "1")
        found = read(done.path)
        assert [row.get("sum") for row in found] == [3.0, None, 11.0]
        assert "row 1" in found[1]["error"]


def test_lines_that_are_no_rows_fail_alone(job, tmp_path):
    source = tmp_path / "in.csv"
    source.write_bytes(b'\xef\xbb\xbfa,b\r\n1,2\r\n\r\n3\r\n4,"5\r\n"\r\n1,\xff\r\n1,2,3\r\n6,7')
    found = read(job("sum", source, version="1").path)
    assert [row["sum"] for row in found] == ["3.0", "", "", "", "", "13.0"]
    assert [row["error"] for row in found][1] == "it has 1 cells, the header 2"
    assert "UTF-8" in found[3]["error"]
    source = tmp_path / "in.jsonl"
    source.write_bytes(b'{"a":1,"b":2}\nno\n[1,2]\n{"a":1}\n\n{"a":\xff}\n{"a":3,"b":4}')
    found = read(job("sum", source, "out.jsonl", "1").path)
    assert [row.get("sum") for row in found] == [3.0, None, None, None, None, 7.0]
    assert found[3]["error"] == "it lacks the column 'b'"


def test_a_row_that_cannot_be_read_fails_alone_if_its_end_is_known(job, tmp_path):
    source = tmp_path / "in.csv"
    source.write_bytes(b"a,b\n1,2\n3,4\r5\n6,7\n")
    done = job("sum", source, version="1")
    assert [row["sum"] for row in read(done.path)] == ["3.0", "", "13.0"]
    assert "no CSV" in read(done.path)[1]["error"]


@pytest.mark.parametrize(
    ("row", "said"),
    [(b'"3,4\n5,6\n', "no second one"), (b'3,"' + b"4" * 140_000 + b'\n5"\n6,7\n', "row ends")],
)
def test_a_row_whose_end_nobody_can_tell_ends_the_job(job, tmp_path, row, said):
    source = tmp_path / "in.csv"
    source.write_bytes(b"a,b\n1,2\n" + row)
    with pytest.raises(JobFailed, match=rf"the row at byte 8 is no CSV: .*{said}"):
        job("sum", source, version="1")
    assert not (tmp_path / "out.csv").exists()


def test_texts_come_back_as_they_are(job, tmp_path):
    rows = [{"t": one} for one in ("grüße", "", 'a "b", c\nd', "=1+1", "null")]
    for suffix in (".csv", ".jsonl", ".parquet"):
        found = read(job("texts", write(tmp_path / f"in{suffix}", rows), f"out{suffix}").path)
        assert [row["same"] for row in found] == [row["t"] for row in rows]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_an_input_without_rows_has_an_output_without_rows(job, tmp_path, suffix):
    source = tmp_path / "in.csv"
    source.write_text("a,b\n")
    done = job("sum", source, f"out{suffix}", keys=("a",))
    assert (read(done.path), done.outcome.rows) == ([], 0)


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("in.xlsx", "", {}, "must end in one of .csv, .jsonl"),
        ("in.csv", "a,c\n1,2\n", {}, "lacks the column 'b'; expected the columns 'a', 'b'"),
        ("in.csv", "a,a,b\n1,2,3\n", {}, "names a column twice"),
        ("in.csv", "", {}, "expected a header"),
        ("in.csv", "a,b\n1,2\n", {"keys": ("idd",)}, "no column 'idd'"),
        ("in.csv", "a,b\n1,2\n", {"version": "9"}, "version"),
        ("in.csv", "a,b\n1,2\n", {"output": "out.txt"}, "must end in one of"),
        ("in.csv", "a,b\n1,2\n", {"output": "nowhere/out.csv"}, "a directory that is there"),
        ("in.csv", "a,b\n1,2\n", {"output": "in.csv"}, "would replace the input"),
        ("in.parquet", "a,b\n1,2\n", {}, "is no Parquet file"),
        ("in.jsonl", "1\n2\n", {}, "expected an object with named values"),
    ],
)
def test_what_cannot_be_done_is_one_line(job, tmp_path, name, content, options, said):
    source = tmp_path / name
    source.write_text(content)
    with pytest.raises(JobFailed, match=said) as failure:
        job("sum", source, **options)
    assert "\n" not in str(failure.value)
    assert source.read_text() == content


def test_a_server_that_is_not_there_is_one_line(tmp_path):
    source = write(tmp_path / "in.csv", [{"a": 1, "b": 2}])
    order = Order("sum", None, source, tmp_path / "out.csv")
    port = PredictionPort("http://127.0.0.1:9", "")
    with pytest.raises(JobFailed, match=r"127.0.0.1:9 cannot be asked"):
        BatchJob(order, port, print).run(lambda _: None)


class Halt(Exception):
    pass


def halted(server, order, after, part_rows=50):
    """A job that ends after so many rows, as by a signal."""
    done = []

    def progress(rows):
        done.append(rows)
        if sum(done) >= after:
            raise Halt

    with pytest.raises(Halt):
        BatchJob(order, PredictionPort(server.url, ""), print, part_rows).run(progress)


def test_a_job_goes_on_with_the_version_that_it_began_with(job, server, tmp_path):
    rows = pairs(500)
    source = write(tmp_path / "in.csv", rows)
    order = Order("sum", "1", source, tmp_path / "out.csv")
    halted(server, order, 200)
    record = next(tmp_path.glob(".out.csv.batch")) / "job.json"
    assert json.loads(record.read_text())["version"] == "1"
    done = job("sum", source, version="1", part_rows=50)
    assert 0 < done.outcome.resumed < 500
    assert "goes on behind row" in done.told[0]
    assert [np.float32(row["sum"]) for row in read(done.path)] == sums(rows)


@pytest.mark.parametrize("other", ["input", "version", "keys"])
def test_a_job_begins_anew_if_it_is_another_one(job, server, tmp_path, other):
    source = write(tmp_path / "in.csv", pairs(300))
    halted(server, Order("sum", "1", source, tmp_path / "out.csv"), 150)
    rows = pairs(300)
    if other == "input":
        rows = pairs(301, seed=8)
        write(source, rows)
    keys = ("id",) if other == "keys" else ()
    version = None if other == "version" else "1"
    done = job("sum", source, version=version, keys=keys, part_rows=50)
    assert done.outcome.resumed == 0
    assert "begins anew" in done.told[0]
    if other != "version":
        assert [np.float32(row["sum"]) for row in read(done.path)] == sums(rows)


#: Imports once, then runs the job in children that it kills at random moments.
KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
from penstock.server.batch_job.batch_job import BatchJob, Order
from penstock.server.batch_job.prediction_port import PredictionPort

url, source, output, kills, seed = sys.argv[1:]
order = Order("sum", "1", Path(source), Path(output), ("id",))
rng = random.Random(int(seed))

def begin():
    child = os.fork()
    if not child:
        BatchJob(order, PredictionPort(url, ""), str, 40).run(bool)
        os._exit(0)
    return child

started = time.monotonic()
assert os.waitpid(begin(), 0)[1] == 0
whole = time.monotonic() - started
Path(output).rename(output + ".once")
killed = finished = went_on = 0
work = Path(output).with_name("." + Path(output).name + ".batch")
while killed < int(kills):
    if Path(output).exists():
        finished += 1
        assert Path(output).read_bytes() == Path(output + ".once").read_bytes()
        Path(output).unlink()
    went_on += bool(list(work.glob("*.part")))
    child = begin()
    time.sleep(rng.uniform(0, whole / 2))
    os.kill(child, signal.SIGKILL)
    killed += os.waitpid(child, 0)[1] == signal.SIGKILL
Path(output).unlink(missing_ok=True)
assert os.waitpid(begin(), 0)[1] == 0
print(json.dumps([killed, finished, went_on, list(map(str, work.parent.glob(".*")))]))
"""


@pytest.mark.parametrize(("before", "after"), [(".csv", ".jsonl"), (".jsonl", ".csv")])
def test_a_job_that_is_killed_at_any_moment_neither_loses_nor_doubles_a_row(
    server, tmp_path, before, after
):
    source = write(tmp_path / f"in{before}", pairs(2000))
    arguments = [server.url, str(source), str(tmp_path / f"out{after}"), "20", "5"]
    run = subprocess.run(
        [sys.executable, "-c", KILLER, *arguments], check=False, capture_output=True, timeout=300
    )
    assert run.returncode == 0, run.stderr.decode()
    killed, _, went_on, left = json.loads(run.stdout)
    assert killed == 20
    assert went_on >= 3, "jobs went on behind parts that were done"
    assert left == []
    once, again = (tmp_path / f"out{after}{end}" for end in (".once", ""))
    assert again.read_bytes() == once.read_bytes()


def test_parquet_that_was_killed_has_the_same_rows(job, server, tmp_path):
    rows = pairs(900)
    source = write(tmp_path / "in.parquet", rows)
    order = Order("sum", "1", source, tmp_path / "out.parquet", ("id",))
    rng = random.Random(4)
    for _ in range(4):
        halted(server, order, rng.randrange(100, 250), part_rows=30)
    done = job("sum", source, "out.parquet", "1", part_rows=30, keys=("id",))
    assert done.outcome.resumed > 0
    found = read(done.path)
    assert [row["id"] for row in found] == list(range(900))
    assert [np.float32(row["sum"]) for row in found] == sums(rows)


def test_two_jobs_do_not_write_one_output(job, server, tmp_path):
    source = write(tmp_path / "in.csv", pairs(100))
    order = Order("sum", "1", source, tmp_path / "out.csv")

    def second(_):
        other = BatchJob(order, PredictionPort(server.url, ""), print)
        with pytest.raises(JobFailed, match="another job writes"):
            other.run(lambda _: None)
        raise Halt

    with pytest.raises(Halt):
        BatchJob(order, PredictionPort(server.url, ""), print).run(second)
    assert job("sum", source).outcome.rows == 100
