"""Canaries that begin by themselves: of which versions, and again after a refusal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.server.config.model_config import ModelConfig
from penstock.server.control.coordination import on_push as module
from penstock.server.control.coordination.first_version import unnamed, untried
from penstock.server.control.coordination.on_push import OnPush
from penstock.server.desired_state.state import DesiredState, ModelState
from penstock.server.errors import Conflict
from penstock.server.target.plan import ModelPlan, Standing

READY = {"m": Standing(serving=frozenset({1, 2, 3}))}


def plan(**changes: Any) -> dict[str, ModelPlan]:
    places = {number: Path(str(number)) for number in (1, 2, 3)}
    return {"m": ModelPlan("m", places, 1, {}, ModelConfig(on_push="canary"), **changes)}


def state(**changes: Any) -> DesiredState:
    return DesiredState(1, {"m": ModelState(aliases={"stable": 1}, **changes)})


def test_the_newest_version_that_was_never_tried_is_tried() -> None:
    assert untried(plan(), state(), READY, "serve") == {"m": 3}
    assert untried(plan(), state(tried=2), READY, "serve") == {"m": 3}


@pytest.mark.parametrize(
    ("plans", "now", "standings"),
    [
        (plan(), state(tried=3), READY),
        (plan(), DesiredState(), READY),  # nobody has named a stable version
        (plan(), state(), {}),
        (plan(), state(), {"m": Standing(serving=frozenset({1}))}),
        (plan(), state(unloaded=frozenset({2, 3})), READY),
        (plan(steps_only=(2, 3)), state(), READY),  # loaded for pipelines alone
    ],
    ids=["tried", "no stable", "unknown", "not ready", "unloaded", "steps only"],
)
def test_other_versions_are_left_alone(plans: Any, now: Any, standings: Any) -> None:
    assert untried(plans, now, standings, "serve") == {}


def test_the_first_version_is_named_where_versions_do_not_serve_by_themselves() -> None:
    assert unnamed(plan(), DesiredState(), READY, "serve") == {"m": 1}
    assert unnamed(plan(), state(), READY, "serve") == {}


def test_a_canary_that_cannot_begin_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.01)
    coordinator: Any = SimpleNamespace(
        planner=SimpleNamespace(target=SimpleNamespace(models=plan())),
        store=SimpleNamespace(state=state()),
        standings=lambda: READY,
    )
    asked: list[int] = []

    async def run() -> None:
        begun = asyncio.Event()

        async def begin(_model: str, version: int, /) -> None:
            asked.append(version)
            if len(asked) < 3:
                raise Conflict("an alarm forbids it")
            coordinator.store.state = state(tried=version)
            begun.set()

        watch = OnPush(coordinator, "serve")
        watch.begin = begin
        task = asyncio.create_task(watch.run())
        coordinator.on_reports()
        async with asyncio.timeout(30):
            await begun.wait()
            coordinator.on_reports()
            for _ in range(10):  # nothing is due any more
                await asyncio.sleep(0)
        task.cancel()

    asyncio.run(run())
    assert asked == [3, 3, 3]
