"""``penstock export`` finds the state of the server by itself."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from penstock.monitoring.feedback.label import Label
from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.store import FeedbackStore
from penstock.monitoring.samples.samples import BatchSample
from penstock.server.cli.main import main
from penstock.server.processes import run_directory

NOW = 1_700_000_000.0


@pytest.fixture
def state(tmp_path):
    directory = tmp_path / "state" / "monitor"
    directory.mkdir(parents=True)
    store = FeedbackStore(directory, lambda *_: FeedbackOptions(), lambda *_: None, 1000, 30.0)
    store.take(
        [
            BatchSample(
                "m", "1", NOW, [b"a"], [0, 1], [200], [0.1], (), [], ("y",), [np.array([1])], [NOW]
            )
        ]
    )
    store.tick(NOW)
    store.feedback([Label("a", 1, NOW)], NOW)
    store.close()
    return directory.parent


def export(output, *options):
    arguments = ["export", "m", "--labelled", "--since", "3650d", "-o", str(output), *options]
    return main(arguments)


def exported(path):
    with path.open() as file:
        return [row["request_id"] for row in csv.DictReader(file)]


def run_here(monkeypatch, tmp_path, states):
    """Servers that run on this machine, as their run directories tell."""
    found = []
    for number, state in enumerate(states):
        directory = run_directory.RunDirectory(tmp_path / f"run{number}")
        directory.path.mkdir()
        config = {"state_dir": str(state), "registry": str(tmp_path)}
        directory.config.write_text(json.dumps(config))
        found.append(directory)
    monkeypatch.setattr(run_directory, "running_servers", lambda: list(found))
    for name in ("PENSTOCK_STATE_DIR", "PENSTOCK_RUN_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_of_the_server_that_runs_here(state, tmp_path, monkeypatch):
    run_here(monkeypatch, tmp_path, [state])
    assert export(tmp_path / "a.csv") == 0
    assert exported(tmp_path / "a.csv") == ["a"]


def test_of_the_one_that_is_named_where_several_run(state, tmp_path, monkeypatch, capsys):
    run_here(monkeypatch, tmp_path, [state, tmp_path / "other"])
    assert export(tmp_path / "a.csv") == 1
    assert "several servers run here; choose one with --state-dir" in capsys.readouterr().err
    assert export(tmp_path / "a.csv", "--state-dir", str(state)) == 0
    monkeypatch.setenv("PENSTOCK_STATE_DIR", str(state))
    assert export(tmp_path / "b.csv") == 0
    assert exported(tmp_path / "b.csv") == ["a"]


def test_where_no_server_runs_it_says_so(tmp_path, monkeypatch, capsys):
    run_here(monkeypatch, tmp_path, [])
    assert export(tmp_path / "a.csv") == 1
    assert "no server runs here" in capsys.readouterr().err
    assert not (tmp_path / "a.csv").exists()
