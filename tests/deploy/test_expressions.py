"""Every expression in rules and dashboards is valid, and asks for metrics and labels that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

DEPLOY = Path(__file__).parents[2] / "deploy"
#: Added by the scrape, or by the rules.
ADDED = {"job", "instance", "sloth_service", "sloth_slo", "sloth_window"}
#: Made by Prometheus itself for each target.
OF_PROMETHEUS = {"up": set[str]()}

NAME = re.compile(r"\b((?:penstock|process)_[a-z_]+|slo:[a-z0-9_:]+|up)\b(?!\s*\()")
MATCHERS = re.compile(r"([a-z_:0-9]+)\{([^}]*)\}")
MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')
LISTS = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")
LEGEND = re.compile(r"{{\s*(?:\$labels\.)?([a-z_]+)\s*}}")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


def targets(dashboard: Any) -> list[tuple[str, str]]:
    """Expression and legend of every panel, variable and annotation."""
    found = [
        (target["expr"], target["legendFormat"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]
    for variable in dashboard["templating"]["list"]:
        inner = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"])
        assert inner is not None
        found.append((inner[1], f"{{{{{inner[2]}}}}}"))
    found += [(one["expr"], one["titleFormat"]) for one in dashboard["annotations"]["list"]]
    return found


def wrong(expr: str, legend: str, known: dict[str, set[str]]) -> list[str]:
    """Metrics that do not exist, and labels that none of the expression's metrics has."""
    bare = re.sub(r'"[^"]*"', '""', expr)
    names = set(NAME.findall(bare))
    complaints = [f"no metric {name}" for name in sorted(names - known.keys())]
    if not names:
        complaints.append("no metric at all")
    for name, inside in MATCHERS.findall(expr):
        for label in MATCHER.findall(inside):
            if label not in known.get(name, set()) | ADDED:
                complaints.append(f"{name} has no label {label}")  # noqa: PERF401
    labels = set().union(*(known.get(name, set()) for name in names), ADDED)
    listed = {one.strip() for text in LISTS.findall(bare) for one in text.split(",")} - {""}
    complaints += [f"no label {label}" for label in sorted(listed - labels)]
    complaints += [f"no label {one} for the legend" for one in set(LEGEND.findall(legend)) - labels]
    return complaints


@pytest.fixture(scope="session")
def known(documented: dict[str, set[str]], rules: list[Any]) -> dict[str, set[str]]:
    recorded = {rule["record"]: {"model"} for rule in rules if "record" in rule}
    return documented | recorded | OF_PROMETHEUS


def test_rules_ask_for_what_exists(rules: list[Any], known: dict[str, set[str]]) -> None:
    found = {
        rule.get("alert", rule.get("record")): wrong(
            rule["expr"], " ".join(rule.get("annotations", {}).values()), known
        )
        for rule in rules
    }
    assert {name: one for name, one in found.items() if one} == {}
    assert len(found) >= 25


def test_dashboards_ask_for_what_exists(
    dashboards: dict[str, Any], known: dict[str, set[str]]
) -> None:
    found = {
        (name, expr): wrong(expr, legend, known)
        for name, dashboard in dashboards.items()
        for expr, legend in targets(dashboard)
    }
    assert {where: one for where, one in found.items() if one} == {}
    assert len(found) >= 60


@pytest.mark.parametrize(
    ("expr", "legend", "complaint"),
    [
        ("rate(penstock_gone_total[5m])", "", "no metric penstock_gone_total"),
        ('penstock_in_flight{status="200"}', "", "penstock_in_flight has no label status"),
        ("sum by (process) (penstock_in_flight)", "", "no label process"),
        ("penstock_in_flight", "{{worker}}", "no label worker for the legend"),
        ("vector(1)", "", "no metric at all"),
    ],
)
def test_what_does_not_exist_is_found(
    known: dict[str, set[str]], expr: str, legend: str, complaint: str
) -> None:
    assert wrong(expr, legend, known) == [complaint]


def test_a_real_server_has_the_documented_labels(
    admin: Any, documented: dict[str, set[str]]
) -> None:
    """So that the page, which the other tests rely on, is right."""
    seen: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(admin("/metrics")):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                seen.setdefault(sample.name, set()).update(sample.labels)
    assert {name: labels for name, labels in seen.items() if labels != documented.get(name)} == {}
    assert {
        "penstock_requests_total",
        "penstock_request_seconds_bucket",
        "penstock_version_default",
        "penstock_version_workers",
        "penstock_workers_behind",
        "penstock_slo_objective_ratio",
        "penstock_process_up",
    } <= seen.keys()


@needs_promtool
def test_expressions_are_valid(tmp_path: Path, dashboards: dict[str, Any]) -> None:
    everything = [
        {"record": f"x:{number}", "expr": expr.replace("$__rate_interval", "5m")}
        for number, expr in enumerate(
            expr for dashboard in dashboards.values() for expr, _ in targets(dashboard)
        )
    ]
    path = tmp_path / "all.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": everything}]}))
    for file in (path, DEPLOY / "prometheus" / "penstock.rules.yml"):
        done = subprocess.run(
            ["promtool", "check", "rules", file], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_rules_do_what_their_tests_say() -> None:
    tests = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))
    assert len(tests) >= 3
    done = subprocess.run(
        ["promtool", "test", "rules", *tests], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test(rules: list[Any]) -> None:
    tested = "".join(path.read_text() for path in (DEPLOY / "prometheus" / "tests").glob("*.yml"))
    named = {rule["alert"] for rule in rules if "alert" in rule}
    assert {name for name in named if f"alertname: {name}\n" not in tested} == set()


def test_every_alert_says_how_bad_it_is_and_what_to_run(rules: list[Any]) -> None:
    for rule in rules:
        if "alert" in rule:
            assert rule["labels"]["severity"] in {"info", "warning", "critical"}
            assert set(rule["annotations"]) == {"summary", "description", "command"}
