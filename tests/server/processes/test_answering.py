"""News of which version answers: told once, when it is true."""

from __future__ import annotations

from pathlib import Path

from penstock.server.config.model_config import ModelConfig
from penstock.server.control.coordination.answering import Answering
from penstock.server.target.plan import ModelPlan, Standing


def plan(name: str, default: int | None) -> ModelPlan:
    return ModelPlan(name, {1: Path("1"), 2: Path("2")}, default, {}, ModelConfig())


def news(answering: Answering, default: int | None, *serving: int) -> list[str]:
    standings = {"m": Standing(serving=frozenset(serving), default=default)}
    return list(answering.news({"m": plan("m", default)}, standings))


def test_a_version_is_told_when_every_worker_has_it_and_once() -> None:
    answering = Answering()
    assert news(answering, 1) == []
    assert news(answering, 1, 1) == ["m: version 1 answers"]
    assert news(answering, 1, 1, 2) == []
    assert news(answering, 2, 1, 2) == ["m: version 2 answers"]


def test_a_model_that_nobody_serves_any_more_is_told() -> None:
    answering = Answering()
    news(answering, 1, 1)
    assert news(answering, 1) == ["m: no version answers any more"]
    assert news(answering, 1, 1) == ["m: version 1 answers"]


def test_many_models_are_told_of_together() -> None:
    names = [f"m{number}" for number in range(100)]
    plans = {name: plan(name, 1) for name in names}
    standings = {name: Standing(serving=frozenset({1})) for name in names}
    answering = Answering()
    (line,) = answering.news(plans, standings)
    assert line.startswith("100 models answer")
    (line,) = answering.news({}, standings)
    assert line == "100 models answer no more"
