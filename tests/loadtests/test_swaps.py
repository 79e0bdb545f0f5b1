"""Swaps under load on a small scale: which figures come out is the command's business."""

from __future__ import annotations

import math

import pytest

from penstock.loadtests.registries import measure_many
from penstock.loadtests.swaps import SwapPlan, measure_cycles, measure_swaps
from penstock.loadtests.witness import Move, last_of_former, strangers

MOVES = [Move(2, 10.0, 10.2, 1), Move(1, 20.0, 20.2, 2)]


def test_the_last_answer_of_a_former_version_is_timed_from_the_command():
    seen = [(9.0, 1), (10.1, 1), (10.15, 2), (20.05, 2), (20.3, 1)]
    assert last_of_former(seen, MOVES) == [pytest.approx(0.1), pytest.approx(0.05)]


def test_an_answer_of_a_version_long_gone_is_a_stranger():
    assert strangers([(9.0, 1), (10.25, 1), (10.25, 2), (20.3, 1)], MOVES, longest=0.1) == 0
    assert strangers([(10.4, 1)], MOVES, longest=0.1) == 1
    assert strangers([(9.9, 2)], MOVES, longest=0.1) == 1
    assert strangers([(15.0, 3)], MOVES, longest=0.1) == 1


@pytest.mark.slow
def test_swaps_under_load_fail_nobody_and_show_no_version_before_its_time(tmp_path):
    pytest.importorskip("onnx", reason="the extra examples")
    on_a_busy_machine = {"lag_limit_seconds": math.inf, "late_moves": True}
    plan = SwapPlan(swaps=12, rounds=1, seconds=4.0, load=0.05, **on_a_busy_machine)
    figures = measure_swaps(tmp_path, plan)
    assert figures["moves"] == 14, "12 promotions, and after the tenth one back and forth"
    assert figures["rollbacks"] == 1
    assert figures["answers"] > 100
    assert figures["failed_requests"] == figures["not_found"] == 0
    assert figures["answers_of_versions_not_current"] == 0


@pytest.mark.slow
def test_cycles_and_large_registries_are_measured(tmp_path):
    pytest.importorskip("onnx", reason="the extra examples")
    for name in ("cycles", "many"):
        (tmp_path / name).mkdir()
    cycles = measure_cycles(tmp_path / "cycles", 2, trimmed_seconds=0.0)
    assert cycles["cycles"] == 2
    assert cycles["ratio"] < 2
    many = measure_many(tmp_path / "many", 2, idle_seconds=0.2)
    assert many["versions"] == many["copies"] == 6
    assert many["first_start_seconds"] > 0
