"""``[rollout]`` of ``model.toml``, and what a requester may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.server.config.model_config import parse_model_config
from penstock.server.errors import InvalidRequest
from penstock.server.files.config_error import ConfigError
from penstock.server.rollout.options import RolloutOptions, parse_duration
from penstock.server.rollout.rollout_spec import Kind
from penstock.server.target.plan import ModelPlan
from penstock.server.target.target import Target, decode_target, encode_target

TABLE = {
    "steps": [5, 50, 100],
    "hold": "90s",
    "min_requests": 20,
    "require_approval": True,
    "sticky_header": "X-User",
    "tolerance": {"absolute": 1e-3, "outputs": {"label": {"compare": "class"}}},
}


def options(**table):
    return parse_model_config({"rollout": table}, "model.toml").rollout


def test_what_the_table_says_holds_where_the_requester_does_not():
    terms = options(**TABLE).terms_of(Kind.CANARY, {"hold": "2m", "alpha": 0.01})
    assert terms.steps == (5.0, 50.0, 100.0)
    assert (terms.hold_seconds, terms.alpha, terms.min_requests) == (120.0, 0.01, 20)
    assert terms.require_approval
    assert terms.sticky == "x-user"


def test_kinds_with_one_share_have_one_by_default():
    assert options(**TABLE).terms_of(Kind.SHADOW, {}).steps == (100.0,)
    assert options(**TABLE).terms_of(Kind.AB, {"percent": 10}).steps == (10.0,)


@pytest.mark.parametrize(
    ("kind", "asked", "said"),
    [
        (Kind.CANARY, {"percent": 5}, "has steps"),
        (Kind.SHADOW, {"steps": [5, 10]}, "one percent"),
        (Kind.CANARY, {"steps": [50, 5]}, "ascending"),
        (Kind.CANARY, {"hold": "soon"}, "expected a duration such as"),
        (Kind.CANARY, {"fallback": "no"}, "true or false"),
        (Kind.CANARY, {"min_requests": 1.5}, "whole number"),
        (Kind.CANARY, {"sticky_header": "a b"}, "request header"),
        (Kind.AB, {"percent": 100}, "nothing to compare"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(kind, asked, said):
    with pytest.raises(InvalidRequest, match=said):
        RolloutOptions().terms_of(kind, asked)


@pytest.mark.parametrize(
    "table", [{"stepz": [1]}, {"percent": 5}, {"alpha": 2}, {"tolerance": {"absolut": 1}}, [1]]
)
def test_a_bad_table_names_the_file(table):
    with pytest.raises(ConfigError, match=r"model\.toml: .*rollout"):
        parse_model_config({"rollout": table}, "model.toml")


@pytest.mark.parametrize(
    ("text", "seconds"), [("5m", 300), ("1.5h", 5400), (" 90 s ", 90), (7, 7), ("250ms", 0.25)]
)
def test_durations(text, seconds):
    assert parse_duration(text, "hold") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "m", "5 weeks", -1, True, float("inf"), None])
def test_no_durations(text):
    with pytest.raises(InvalidRequest):
        parse_duration(text, "hold")


def test_the_options_reach_the_workers_whole():
    config = parse_model_config({"rollout": TABLE}, "model.toml")
    target = Target(1, {"m": ModelPlan("m", {1: Path("m/1")}, 1, {}, config)})
    assert decode_target(encode_target(target)) == target


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"stepz": [1]}, "unknown key rollout.stepz; did you mean steps?"),
        ({"steps": [5, "x"]}, r"rollout.steps\[1\] is 'x', expected a number"),
        ({"steps": []}, r"rollout.steps is \[\], expected a list of percentages"),
        ({"min_requests": True}, "rollout.min_requests is True, expected a whole number"),
        ({"watch": "1w"}, "rollout.watch is '1w', expected a duration such as"),
        ({"tolerance": {"relative": -1}}, "rollout.tolerance.relative is -1, expected a number"),
    ],
)
def test_a_mistake_in_the_table_names_its_place(table, said):
    with pytest.raises(ConfigError, match=said):
        parse_model_config({"rollout": table}, "model.toml")
