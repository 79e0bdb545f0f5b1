from __future__ import annotations

import json
import math

import numpy as np
import pytest
from rich.console import Console

from penstock.loadtests.measure import Measurement
from penstock.loadtests.outcome import Outcome, figures_of
from penstock.loadtests.plots import plot
from penstock.loadtests.report import Spread, summarise, table, to_json


def outcome(latencies, **more):
    return Outcome(2.0, more.pop("offered", len(latencies)), np.array(latencies), {200: 1}, **more)


def measurement(contestant, repeat, per_second, scenario="json-c8", **more):
    figures = {
        "requests_per_second": per_second,
        "cpu_microseconds_per_request": 1e6 / per_second,
        **more,
    }
    return Measurement(scenario, contestant, repeat, figures)


@pytest.fixture
def rows():
    ours = [measurement("penstock", n, rate) for n, rate in enumerate((100.0, 400.0, 200.0))]
    theirs = [measurement("slow", n, rate) for n, rate in enumerate((50.0, 40.0, 45.0))]
    return summarise([*ours, *theirs, Measurement("json-c8", "broken", 0, failure="no\nluck")])


def text_of(shown):
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_repeats_become_a_median_with_its_range(rows):
    assert rows[0].figures["requests_per_second"] == Spread(200.0, 100.0, 400.0, 3)


def test_the_table_compares_with_the_base_and_marks_what_has_no_figures(rows):
    text = text_of(table(rows, "json-c8"))
    slow = next(line for line in text.splitlines() if "slow" in line)
    assert "45 (40..50)" in slow
    assert "0.225" in slow
    assert "goodput" not in text
    assert "broken" in text


def test_goodput_is_what_overloaded_servers_are_compared_by():
    rows = summarise(
        [
            measurement("penstock", 0, 100.0, goodput_per_second=90.0),
            measurement("slow", 0, 200.0, goodput_per_second=9.0),
        ]
    )
    text = text_of(table(rows, "json-c8"))
    assert "0.1 " in next(line for line in text.splitlines() if "slow" in line)


def test_failures_are_kept_once_each(rows):
    assert rows[2].failures == ["no\nluck"]
    assert not rows[2].figures


def test_json_holds_context_rows_and_every_window(rows):
    document = json.loads(to_json(rows, [measurement("penstock", 0, 1.0)], {"cores": 2}))
    assert document["context"] == {"cores": 2}
    assert document["rows"][0]["figures"]["requests_per_second"]["median"] == 200.0
    assert document["measurements"][0]["contestant"] == "penstock"


def test_pictures_are_the_same_for_the_same_figures(rows, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra bench")
    first, second = (plot(rows, tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == ["json-c8-requests.svg", "json-c8-cpu.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_goodput_counts_right_answers_in_time_over_all_that_was_offered():
    some = outcome([0.010, 0.020, 0.030, 0.001], offered=8, unsent=4)
    assert some.throughput == 2.0
    assert some.goodput(0.020) == 1.5
    assert some.attainment(0.020) == 3 / 8
    figures = figures_of(some, cpu_seconds=0.4, slo_seconds=0.020)
    assert figures["cpu_microseconds_per_request"] == pytest.approx(100_000)
    assert figures["offered_per_second"] == 4.0


def test_a_closed_loop_claims_no_goodput():
    assert "goodput_per_second" not in figures_of(outcome([0.1]), 0.0, None)


def test_no_answers_have_no_latency():
    assert math.isnan(outcome([]).quantile(0.5))
    assert outcome([], offered=3).attainment(1.0) == 0
