from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from penstock.monitoring.drift.baseline import FROM_FILE, Baseline, Reference
from penstock.monitoring.drift.baseline_files import (
    BASELINES,
    BaselineFiles,
    input_names,
    write_baseline,
)
from penstock.monitoring.drift.bins import NumberBins
from penstock.monitoring.drift.schema import rename
from penstock.runtimes.contract import Column, Signature, TensorSpec
from penstock.server.registry.column_names import named_signature

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OF_TWO = Baseline(
    {
        name: Reference(NumberBins((0.0, 1.0)), np.zeros(NumberBins((0.0, 1.0)).size, np.int64))
        for name in ("income", "age")
    },
    FROM_FILE,
)
PLAIN = Signature((TensorSpec("x", "FP32", (-1, 2)),), (), batch_axis=True)


def names(signature: Signature) -> list[str]:
    return [column.name for spec in signature.inputs for column in spec.columns]


def chosen(*baselines: Path, features: tuple[str, ...] = ()) -> list[Any]:
    return [*map(input_names, baselines), features]


def named(*wanted: str) -> Signature:
    columns = tuple(map(Column, wanted))
    return Signature((TensorSpec("x", "FP32", (-1, 2), columns=columns),), (), batch_axis=True)


def test_names_come_from_the_first_that_has_them(tmp_path: Path) -> None:
    built, published = tmp_path / "built.json", tmp_path / "baseline.json"
    assert names(named_signature(PLAIN, chosen(built, published))) == []
    assert names(named_signature(PLAIN, chosen(built, features=("f", "g")))) == ["f", "g"]
    bins = NumberBins((0.0, 1.0))
    counts = np.zeros(bins.size, np.int64)
    one, answer = Reference(bins, counts), Reference(bins, counts, output=True)
    references = {"c": one, "d": one, "y": answer}
    write_baseline(published, Baseline(references, FROM_FILE))
    assert names(named_signature(PLAIN, chosen(built, published, features=("f", "g")))) == [
        "c",
        "d",
    ]
    assert names(named_signature(named("a", "b"), chosen(published, features=("f", "g")))) == [
        "a",
        "b",
    ]


def test_names_that_do_not_fit_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text("{}")
    assert names(named_signature(PLAIN, chosen(path, features=("only",)))) == []


def test_a_baseline_of_other_files_gives_no_names(tmp_path: Path) -> None:
    path = tmp_path / "built.json"
    write_baseline(path, replace(OF_TWO, digest="of before"))
    assert input_names(path, "of now") == []
    assert input_names(path, "of before") == input_names(path) == ["income", "age"]


def test_the_operator_says_in_which_order_the_names_of_a_baseline_are(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    write_baseline(path, OF_TWO)
    assert input_names(path, features=("age", "income")) == ["age", "income"]
    assert input_names(path, features=("age", "other")) == ["income", "age"]
    assert rename(["x[0]", "x[1]"], ["age", "income"], ["income", "age"]) == (
        {"x[0]": "age", "x[1]": "income"},
        "",
    )


@pytest.mark.parametrize("stale", [False, True])
def test_a_row_with_names_is_told_by_what_is_said_of_its_version(
    stale: bool, tmp_path: Path, onnx_file: Callable[..., Path], live_server: Any
) -> None:
    registry, state = tmp_path / "registry", tmp_path / "state"
    onnx_file(
        registry / "m" / "1" / "model.onnx",
        [("Identity", ["x"], ["y"])],
        [("x", "FLOAT", ["n", 2])],
        [("y", "FLOAT", ["n", 2])],
    )
    built = BaselineFiles(state / "monitor" / BASELINES).built("m", "1")
    write_baseline(built, replace(OF_TWO, digest="of before" if stale else ""))
    if not stale:
        features = '[monitoring]\nfeatures = ["age", "income"]\n'
        (registry / "m" / "model.toml").write_text(features)
    with live_server(registry, state_dir=str(state)) as server:
        body = b'{"instances": [{"income": 2, "age": 1}]}'
        line = b"POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\n"
        answer = server.ask(line + b"content-length: %d\r\n\r\n" % len(body) + body)
        if stale:
            assert answer.status == 400
            assert "the model does not name its columns" in json.loads(answer.body)["error"]
        else:
            assert json.loads(answer.body) == {"predictions": [{"y": [1.0, 2.0]}]}


def test_names_of_a_baseline_bind_no_later_version(
    tmp_path: Path, onnx_file: Callable[..., Path], live_server: Any
) -> None:
    for version in ("1", "2"):
        onnx_file(
            tmp_path / "m" / version / "model.onnx",
            [("Identity", ["x"], ["y"])],
            [("x", "FLOAT", ["n", 2])],
            [("y", "FLOAT", ["n", 2])],
        )
    bins = NumberBins((0.0, 1.0))
    reference = Reference(bins, np.zeros(bins.size, np.int64))
    baseline = Baseline({"age": reference, "income": reference}, FROM_FILE)
    write_baseline(tmp_path / "m" / "1" / "baseline.json", baseline)
    with live_server(tmp_path) as server:
        listed = server.ask(b"GET /v2/models HTTP/1.1\r\nhost: x\r\n\r\n")
        assert [one["state"] for one in json.loads(listed.body)] == ["READY", "READY"]
        body = b'{"instances": [{"income": 2, "age": 1}]}'
        line = b"POST /v1/models/m/versions/1:predict HTTP/1.1\r\nhost: x\r\n"
        answer = server.ask(line + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert json.loads(answer.body) == {"predictions": [{"y": [1.0, 2.0]}]}
