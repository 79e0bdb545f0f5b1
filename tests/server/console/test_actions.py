"""Forms as requests to the admin port."""

from __future__ import annotations

import pytest

from penstock.server.console.actions import ROLLOUT_ACTIONS, asked
from penstock.server.errors import InvalidRequest, NotFound

BASE = ("admin", "models", "churn")


@pytest.mark.parametrize("action", ["promote", "load", "unload"])
def test_an_action_on_a_version_names_it_in_the_path(action):
    found = asked("churn", action, {"version": "3", "reason": "because"})
    assert (found.method, found.path) == ("POST", (*BASE, "versions", "3", action))
    assert found.body == {"reason": "because"}


def test_an_alias_is_put_where_it_points():
    found = asked("churn", "alias", {"alias": "next", "version": "3"})
    assert (found.method, found.path) == ("PUT", (*BASE, "aliases", "next"))
    assert found.body == {"reason": "", "version": "3"}


def test_a_rollout_is_started_with_the_steps_that_were_typed_or_those_of_the_model():
    found = asked("churn", "start", {"kind": "canary", "version": "3", "steps": "1 5%, 100"})
    assert found.path == (*BASE, "rollout")
    assert found.body == {"reason": "", "kind": "canary", "version": "3", "steps": [1, 5, 100]}
    assert "steps" not in asked("churn", "start", {"version": "3", "steps": " "}).body


def test_steps_that_are_no_figures_are_refused_before_anything_is_done():
    with pytest.raises(InvalidRequest, match=r"'a lot', expected percents such as 1 5 25 100"):
        asked("churn", "start", {"version": "3", "steps": "a lot"})


@pytest.mark.parametrize("action", ROLLOUT_ACTIONS)
def test_a_rollout_in_progress_is_told_what_to_do(action):
    assert asked("churn", f"rollout-{action}", {}).path == (*BASE, "rollout", action)


def test_an_approval_names_the_digest_that_was_looked_at():
    found = asked("churn", "approve", {"digest": "sha256:ab"})
    assert found.path == (*BASE, "rollout", "approve")
    assert found.body["digest"] == "sha256:ab"


def test_an_unknown_action_is_not_found():
    with pytest.raises(NotFound, match="no action 'erase'"):
        asked("churn", "erase", {})


def test_a_plan_asks_for_the_terms_of_a_canary_and_starts_nothing():
    found = asked("churn", "plan", {"version": "3", "kind": "ab", "steps": "1, 5 100%"})
    assert (found.method, found.path) == ("POST", (*BASE, "rollout", "plan"))
    assert found.body == {"reason": "", "version": "3", "steps": [1.0, 5.0, 100.0]}
