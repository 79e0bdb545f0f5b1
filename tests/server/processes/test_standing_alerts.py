"""People are told once of what stands wrong, and once when it is good again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from penstock.monitoring.alerts.alert_store import AlertStore
from penstock.server.control.coordination.findings import Findings
from penstock.server.control.coordination.standing_alerts import (
    CONFIG,
    QUARANTINE,
    StandingAlerts,
    changes,
    config_faults,
    kept_out,
)
from penstock.server.registry.repository import Problem, RegistrySnapshot


@dataclass
class Plan:
    quarantined: dict = field(default_factory=dict)


def found(*models):
    problems = [Problem(Path(f"/r/{one}/model.toml"), f"threads of {one} is 0") for one in models]
    problems.append(Problem(Path("/r/m/2"), "no model.onnx"))
    return config_faults(Findings(RegistrySnapshot({}, tuple(problems))).problems)


def test_only_configurations_are_faults_of_configuration():
    assert found("a") == {("a", ""): "threads of a is 0"}


def test_each_version_that_is_out_of_service_is_told():
    models = {"a": Plan({2: "died", 3: "died, too"}), "b": Plan()}
    assert kept_out(models) == {("a", "2"): "died", ("a", "3"): "died, too"}


def test_an_episode_begins_and_ends_once():
    (begun,) = changes(QUARANTINE, {}, {("a", "2"): "bad"}, 5.0)
    assert (begun.name, begun.model, begun.version) == ("registry.quarantine.opened", "a", "2")
    opened = {("a", "2"): begun}
    assert changes(QUARANTINE, opened, {("a", "2"): "bad, still"}, 6.0) == []
    other, over = changes(QUARANTINE, opened, {("a", "3"): "bad"}, 7.0)
    assert (other.version, other.opened) == ("3", True)
    assert (over.episode, over.opened) == (begun.episode, False)
    assert "version 2 of a is no longer kept out" in over.summary


def test_an_episode_goes_on_over_a_restart(tmp_path):
    alert_store = AlertStore(tmp_path / "alerts.db")
    first = StandingAlerts(alert_store, CONFIG, lambda: 5.0)
    first.note(found("a"))
    first._tell()
    second = StandingAlerts(alert_store, CONFIG, lambda: 9.0)
    second.note(found("a"))
    second._tell()
    assert [one.model for one in alert_store.open_episodes(CONFIG.name)] == ["a"]
    second.note(found())
    second._tell()
    assert alert_store.open_episodes(CONFIG.name) == []
