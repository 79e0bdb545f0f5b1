"""People are told of a bad model.toml once, and when it is good again."""

from __future__ import annotations

from pathlib import Path

from penstock.monitoring.alerts.outbox import Outbox
from penstock.server.processes.config_alerts import KIND, ConfigAlerts, changes, faults
from penstock.server.processes.planner import Findings
from penstock.server.registry.repository import Problem, RegistrySnapshot


def found(*models):
    problems = [Problem(Path(f"/r/{one}/model.toml"), f"threads of {one} is 0") for one in models]
    problems.append(Problem(Path("/r/m/2"), "no model.onnx"))
    return Findings(RegistrySnapshot({}, tuple(problems)))


def test_only_configurations_are_told_here():
    assert faults(found("a")) == {"a": "threads of a is 0"}


def test_an_episode_begins_and_ends_once():
    (begun,) = changes({}, {"a": "bad"}, 5.0)
    assert (begun.kind, begun.model, begun.opened) == (KIND, "a", True)
    assert changes({"a": begun}, {"a": "bad, still"}, 6.0) == []
    (over,) = changes({"a": begun}, {}, 7.0)
    assert (over.episode, over.opened) == (begun.episode, False)


def test_an_episode_goes_on_over_a_restart(tmp_path):
    outbox = Outbox(tmp_path / "alerts.db")
    first = ConfigAlerts(outbox, lambda: 5.0)
    first.note(found("a"))
    first._tell()
    second = ConfigAlerts(outbox, lambda: 9.0)
    second.note(found("a"))
    second._tell()
    assert [one.model for one in outbox.open_episodes(KIND)] == ["a"]
    second.note(found())
    second._tell()
    assert outbox.open_episodes(KIND) == []
