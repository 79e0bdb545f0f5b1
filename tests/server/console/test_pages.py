"""What pages show of the answers of endpoints; names are text there, whatever is in them."""

from __future__ import annotations

from typing import Any

from penstock.server.console.model_page import lineage_table, workers
from penstock.server.console.performance_page import performance_page
from penstock.server.console.rollout_page import segments
from penstock.server.console.rollout_words import plan_words
from penstock.server.console.visit import Visit
from penstock.server.page.page import Page

BAD = "<script>alert(1)</script>\"'&"
API: Any = None
LOOKER = Visit("/console", API, None)
SHOWN = "&lt;script&gt;alert(1)&lt;/script&gt;"


def test_each_worker_has_its_state_and_memory() -> None:
    at = {
        "state": "FAILED", "reason": BAD, "since": 0.0,
        "memory": {"measured_bytes": 3 << 20, "estimated_bytes": 5 << 20},
    }  # fmt: skip
    other = {"state": "LOADING", "reason": "", "since": 1.0, "memory": None}
    page = Page("x")
    model = {"versions": [{"version": 7, "workers": {"worker-1": other, "worker-0": at}}]}
    workers(page.section("Workers"), model)
    html = page.render()
    assert html.index("worker-0") < html.index("worker-1")
    assert ">3</td>" in html
    assert ">5</td>" in html
    assert "1970-01-01 00:00:00" in html
    assert SHOWN in html
    assert "<script" not in html


def test_segments_of_a_rollout_are_shown_with_the_counts_of_both_arms() -> None:
    counts = {
        "stable": 101, "stable_failed": 102, "stable_slow": 103,
        "stable_labelled": 104, "stable_wrong": 105,
        "canary": 106, "canary_failed": 107, "canary_slow": 108,
        "canary_labelled": 109, "canary_wrong": 110,
    }  # fmt: skip
    page = Page("x")
    segments(
        page.section("Segments"),
        [{"segment": BAD, "e_value": 12.5, "score_change": 34.5, **counts}],
    )
    html = page.render()
    places = [html.index(f">{count}</td>") for count in counts.values()]
    assert places == sorted(places)
    assert "12.5" in html
    assert "34.5" in html
    assert SHOWN in html
    assert "<script" not in html


def found(**more: Any) -> dict[str, Any]:
    one = {
        "version": "3", "arm": "", "predictions": 200, "labels": 100, "coverage": 0.5,
        "figures": {"accuracy": {"value": 0.9, "low": 0.82, "high": 0.95}, "f1": None},
        "windows": [], "delay_seconds": {}, "segments": None, **more,
    }  # fmt: skip
    return {"model": BAD, "versions": [one]}


def test_labels_are_shown_over_time_with_their_coverage_and_delay() -> None:
    figure = {"value": 0.9, "low": 0.82, "high": 0.95}
    windows = [
        {"start": 3600, "predictions": 100, "labels": 60, "figure": figure},
        {"start": 7200, "predictions": 0, "labels": 3, "figure": None},
        {"start": 10800, "predictions": 100, "labels": 40, "figure": figure | {"value": 0.85}},
    ]
    html = performance_page(found(windows=windows, delay_seconds={"p50": 120.0}), LOOKER).render()
    assert "version 3: 0.85 to 0.9, last 0.85" in html
    assert "version 3: 40% to 60%, last 40%" in html
    assert "50 %</td>" in html
    assert ">2</td>" in html
    assert "<script" not in html
    assert SHOWN in html


def test_a_model_without_labels_says_so() -> None:
    html = performance_page(found(), LOOKER).render()
    assert "No label has come." in html
    assert "No window has a prediction or a label." in html


def test_a_plan_says_how_long_it_takes_and_the_smallest_harm_that_it_sees() -> None:
    plan: dict[str, Any] = {
        "candidate": 4, "stable": 3, "traffic": {"requests_per_second": 20.0}, "seconds": 5400.0,
        "ends": True, "in_time": 0.99, "limit_seconds": 86_400.0, "power": 0.8,
        "harms": {
            "failed": {"rate": 0.025, "stable": 0.001},
            "slow": {"rate": None, "stable": 0.0},
        },
    }  # fmt: skip
    assert plan_words(plan) == (
        "If version 4 is as good as version 3, it takes about 90 minutes. Failures: it is taken "
        "back in 80% of cases from 2.500% of requests on (stable has 0.100%). Slow answers: it "
        "sees none, whatever their number."
    )
    late = plan_words({**plan, "seconds": None, "ends": False, "in_time": 0.25})
    assert "it hardly ends; only 25% end within the limit of 1,440 minutes" in late
    idle = plan_words({**plan, "traffic": {"requests_per_second": 0.0}})
    assert idle == "No request came in the last minute, so nothing can be foreseen."


def test_an_interval_of_errors_says_up_to_which_error_it_holds() -> None:
    figures = {
        "rmse": {"value": 1.25, "low": 1.125, "high": 3.5, "up_to": 42.5},
        "accuracy": {"value": 0.5, "low": 0.375, "high": 0.625},
    }
    values = [{"segment": "CH", "labels": 60, "figures": figures}]
    told = {"fields": ["country"], "worse": [], "values": values}
    html = performance_page(found(figures=figures, segments=told), LOOKER, "country").render()
    assert html.count("for errors up to") == 2
    assert html.count(">42.5</td>") == 2
    assert html.count("holds only if no error is larger") == 2


def test_segments_have_their_figures_and_those_that_are_worse_are_named() -> None:
    worse = {
        "field": "country", "segment": BAD, "versus": "version 2", "bad": (30, 60),
        "others": (5, 100), "p": 1e-9,
    }  # fmt: skip
    figures = {"accuracy": {"value": 0.5, "low": 0.37, "high": 0.63}}
    values = [{"segment": BAD, "labels": 60, "figures": figures}]
    told = {"fields": ["country", "plan"], "worse": [worse], "values": values}
    html = performance_page(found(segments=told), LOOKER, "country").render()
    assert "30 of 60 bad, against 5 of 100 (p 1e-09)" in html
    assert "performance?by=plan" in html
    assert ">0.37</td>" in html
    assert html.count(SHOWN) >= 2
    assert "<script" not in html


def test_a_version_has_its_run_commit_data_metrics_and_golden_requests() -> None:
    one = {
        "version": 7, "golden": 12, "missing": "", "published": "2031-05-01T12:30:00.5Z",
        "run": BAD, "commit": "0123456789abcdef", "params": {}, "data": "sha256:42",
        "metrics": {"auc": 0.98765, BAD: 1.0}, "digest": "d", "files": 3, "bytes": 5 << 20,
    }  # fmt: skip
    bare = {"version": 6, "golden": None, "missing": BAD}
    page = Page("x")
    lineage_table(page.section("Lineage"), [one, bare])
    html = page.render()
    for words in ("2031-05-01 12:30:00", "0123456789ab<", "sha256:42", "auc 0.9877", "3, 5 MiB"):
        assert words in html
    assert "12 requests" in html
    assert "unknown" in html
    assert html.count(SHOWN) == 3
    assert "<script" not in html
