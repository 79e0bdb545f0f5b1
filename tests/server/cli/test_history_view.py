"""The history names the kind of each action, the versions that it is about, and what it changed."""

from __future__ import annotations

from typing import Any

from penstock.server.cli.history_view import action_of, change_of, version_of


def record(action: str, before: Any = None, after: Any = None, **evidence: Any) -> dict[str, Any]:
    return {"action": action, "before": before, "after": after, "evidence": evidence}


def test_a_rollout_is_named_by_kind_with_candidate_and_stable() -> None:
    one = record(
        "rollout.abort",
        {"phase": "progressing", "percent": 5.0},
        {"phase": "aborted", "percent": 0.0},
        version=4,
        rollout={"kind": "canary", "candidate": 4, "stable": 3},
    )
    assert action_of(one) == "canary abort"
    assert version_of(one) == "4 (stable 3)"
    assert change_of(one) == "phase progressing → aborted, percent 5 % → 0 %"


def test_a_first_version_comes_from_none() -> None:
    one = record("promote", {"stable": None}, {"stable": 1}, version=1)
    assert (action_of(one), version_of(one), change_of(one)) == ("promote", "1", "stable none → 1")


def test_what_has_not_changed_is_no_change() -> None:
    one = record("default", {"default": 2}, {"default": 2})
    assert (version_of(one), change_of(one)) == ("2", "")
    assert change_of(record("load", {}, {}, version=2)) == ""
    assert version_of(record("baseline.forget")) == ""
