"""What the shell completes; names that only a server knows are in tests/server/processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.server.cli.main import main

REGISTRY = Path(__file__).parents[3] / "examples" / "registry"


@pytest.fixture
def completed(monkeypatch, capsys):
    """What a shell is told of a command line whose last word is not complete."""

    def complete(*words, last=""):
        monkeypatch.setenv("_PENSTOCK_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(("penstock", *words, last)))
        monkeypatch.setenv("COMP_CWORD", str(len(words) + 1))
        with pytest.raises(SystemExit) as raised:
            main([])
        assert raised.value.code == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        return shown.out.split()

    return complete


def test_verbs_and_options_are_completed(completed):
    assert completed(last="sta") == ["status"]
    assert completed("canary", last="pr") == ["promote"]
    assert completed("canary", "start", last="--ho") == ["--hold", "--holdback-percent"]
    assert completed("serve", "--log-format", last="") == ["text", "json"]


def test_models_of_a_registry_are_completed(completed):
    assert completed("push", str(REGISTRY), last="br") == ["breast-cancer"]


def test_nothing_is_said_where_no_server_answers(completed):
    where = ("--admin-url", "http://127.0.0.1:1")
    assert completed("promote", *where, last="br") == []
    assert completed("promote", *where, "iris", last="") == []
