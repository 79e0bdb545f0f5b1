"""Gates of real versions, loaded by the real runtime."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sklearn.metrics import roc_auc_score

from penstock.server.gates.gate_report import Verdict

if TYPE_CHECKING:
    from pathlib import Path

PASSED, FAILED, TOO_LITTLE = Verdict.PASSED, Verdict.FAILED, Verdict.TOO_LITTLE


def evaluation(metric: str, **asked: Any) -> dict[str, Any]:
    return {"data": "rows.csv", "label": "target", "metric": metric, **asked}


@pytest.fixture(autouse=True)
def _rows(held_out: Any) -> None:
    """The held-out file is there."""


def test_a_model_without_names_takes_the_columns_in_the_order_of_the_file(
    home: Path, gates: Any, held_out: Any
) -> None:
    asked = evaluation("accuracy", least=0.8)
    named = gates(2, evaluation=asked)["evaluation"]
    assert gates(2, columns=(), evaluation=asked)["evaluation"].verdict is FAILED
    lines = [line.rsplit(",", 1)[0] for line in (home / "rows.csv").read_text().splitlines()]
    (home / "rows.csv").write_text("\n".join(lines) + "\n")
    assert gates(2, columns=(), evaluation=asked)["evaluation"].figures == named.figures


def test_a_metric_is_that_of_the_held_out_rows(gates: Any, held_out: Any) -> None:
    right = float(((held_out.second > 0) == held_out.label).mean())
    found = gates(2, evaluation=evaluation("accuracy", least=0.8))["evaluation"]
    assert found.verdict is PASSED
    assert found.figures["value"] == pytest.approx(right, abs=1e-12)
    area = gates(2, evaluation=evaluation("auc", least=0.8))["evaluation"]
    wanted = roc_auc_score(held_out.label, held_out.second)
    assert area.figures["value"] == pytest.approx(wanted, abs=1e-6)


def test_a_metric_below_its_bound_fails_and_one_beside_it_is_too_little_to_say(
    gates: Any, held_out: Any
) -> None:
    right = float(((held_out.second > 0) == held_out.label).mean())
    below = gates(2, evaluation=evaluation("accuracy", least=right + 0.01))["evaluation"]
    beside = gates(2, evaluation=evaluation("accuracy", least=right - 0.001))["evaluation"]
    assert (below.verdict, beside.verdict) == (FAILED, TOO_LITTLE)
    assert f"expected at least {right + 0.01:g}" in below.reason


def test_an_error_has_a_bound_above(gates: Any) -> None:
    assert gates(1, evaluation=evaluation("brier", most=0.2))["evaluation"].verdict is PASSED
    assert gates(1, evaluation=evaluation("brier", most=0.01))["evaluation"].verdict is FAILED


def test_a_version_is_compared_with_the_one_that_serves_row_by_row(gates: Any) -> None:
    asked = evaluation("accuracy", margin=0.0)
    assert gates(1, 2, evaluation=asked)["comparison"].verdict is PASSED
    worse = gates(2, 1, evaluation=asked)["comparison"]
    assert worse.verdict is FAILED
    assert worse.figures["incumbent"]["value"] == 1.0
    assert gates(2, 1, evaluation=asked | {"margin": -0.3})["comparison"].verdict is PASSED
    assert "no version serves" in gates(1, evaluation=asked)["comparison"].reason


@pytest.mark.parametrize("metric", ["accuracy", "auc", "log_loss", "brier"])
def test_a_version_is_as_good_as_itself_by_any_metric(home: Path, gates: Any, metric: str) -> None:
    same = home / "4"
    same.mkdir()
    (same / "model.onnx").write_bytes((home / "2" / "model.onnx").read_bytes())
    found = gates(4, 2, evaluation=evaluation(metric, margin=0.0))["comparison"]
    assert (found.verdict, found.figures["value"]) == (PASSED, 0.0)


def test_a_version_that_is_no_model_fails_at_its_load(gates: Any) -> None:
    found = gates(3, evaluation=evaluation("accuracy", least=0.1))
    assert list(found) == ["load"]
    assert found["load"].verdict is FAILED


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a,b,target\n1,2\n", "row 1 has 2 cells, the heading has 3"),
        ("a,b,target\n1,2,\n", "row 1 has no label in column 'target'"),
        ("a,b,target\n1,2,perhaps\n", "1 labels of held-out rows are no classes of the model"),
        ('a,b,target\n1,2,1\n1,2,"1\n1,2,0\n', "no second one"),
        ("a,b,target\n1,much,1\n", "held-out rows from 1 on"),
        ("a,b,target\n", "has no rows"),
        ("a,a,target\n1,2,1\n", "two columns have one name"),
        ("a,b\n1,2\n", "row 1 has no label in column 'target'"),
        ("\udcff", "is not in UTF-8"),
    ],
)
def test_a_file_that_is_none_of_held_out_rows_is_told_by_its_place(
    home: Path, gates: Any, content: str, told: str
) -> None:
    (home / "rows.csv").write_bytes(content.encode(errors="surrogateescape"))
    found = gates(1, evaluation=evaluation("accuracy", least=0.1))["evaluation"]
    assert found.verdict is FAILED
    assert told in found.reason


def test_a_missing_file_is_told(home: Path, gates: Any) -> None:
    (home / "rows.csv").unlink()
    found = gates(1, evaluation=evaluation("accuracy", least=0.1))["evaluation"]
    assert found.verdict is FAILED
    assert "No such file" in found.reason


def test_a_metric_of_numbers_is_none_of_classes(gates: Any) -> None:
    found = gates(1, evaluation=evaluation("rmse", most=1.0))["evaluation"]
    assert "rmse is no metric of a classification" in found.reason


def test_json_lines_are_rows_as_well(home: Path, gates: Any) -> None:
    rows = [{"a": 1.0, "b": -1.0, "target": 1}, {"a": -1.0, "b": 1.0, "target": 0}] * 60
    (home / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = evaluation("accuracy", least=0.9) | {"data": "rows.jsonl"}
    assert gates(1, evaluation=asked)["evaluation"].verdict is PASSED
    assert gates(2, evaluation=asked)["evaluation"].verdict is FAILED


def test_budgets_are_measured_here(gates: Any) -> None:
    dear = {"p99_milliseconds": 1e-6, "memory_bytes": 1 << 20}
    assert gates(1, budgets={"p99_milliseconds": 10_000})["latency"].verdict is PASSED
    found = gates(1, budgets=dear)
    assert found["latency"].verdict is FAILED
    assert found["memory"].figures["expected"] == 1 << 20


def test_golden_requests_are_counted_and_answered(home: Path, gates: Any) -> None:
    assert gates(1, golden=1)["golden"].verdict is TOO_LITTLE
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.0, 5.0]}
    answer = {"name": "p", "datatype": "FP32", "shape": [1, 1], "data": [0.5]}
    stored = {"examples": [{"inputs": [tensor], "outputs": [answer]}]}
    for version in (1, 2):
        (home / str(version) / "examples.json").write_text(json.dumps(stored))
    assert gates(1, golden=1)["golden"].verdict is PASSED
    assert gates(2, golden=1)["golden"].verdict is FAILED


def test_a_card_has_what_is_asked(gates: Any) -> None:
    asked = ["owner", "intended_use"]
    found = gates(1, said={"owner": "risk", "intended_use": "  "}, card=asked)["card"]
    assert found.verdict is FAILED
    assert found.figures["missing"] == ["intended_use"]
    assert (
        gates(1, said={"owner": "risk", "intended_use": "x"}, card=asked)["card"].verdict is PASSED
    )


def test_robustness_is_tried_on_each_column(gates: Any) -> None:
    trials = ["missing", "extremes", "shuffled"]
    found = gates(1, robustness=trials, evaluation=evaluation("accuracy", least=0.1))
    assert found["missing"].verdict is FAILED
    assert "a missing: an output is not finite" in found["missing"].reason
    assert found["extremes"].verdict is PASSED
    assert found["extremes"].figures["variants"] == 4
    assert found["shuffled"].verdict is PASSED
