"""Measuring a real process; which figures come out is not asserted, only that they are there."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import pytest

from penstock.loadtests.contestants import Contestant, Launch, echo, penstock, variants
from penstock.loadtests.encodings import V2_JSON
from penstock.loadtests.measure import Plan, default_plan, measure
from penstock.loadtests.models import build
from penstock.loadtests.peers.peers import SERVICES, peers
from penstock.loadtests.scenarios import Scenario, closed_scenarios, overload_scenarios


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    pytest.importorskip("onnx", reason="the extra examples")
    return {"image": build("image", tmp_path_factory.mktemp("models"))}


@pytest.fixture
def plan():
    cores = frozenset(os.sched_getaffinity(0))
    return Plan(2, 0.1, 0.05, server_cores=cores, load_cores=cores)


IMAGE = Scenario("image", model="image", encoding="binary", connections=2)


def test_each_repeat_of_a_server_gives_its_figures(models, plan):
    found = measure([echo()], [IMAGE], models, plan, tell=lambda _: None)
    assert [(one.contestant, one.repeat, one.failure) for one in found] == [
        ("bare-echo", 0, ""),
        ("bare-echo", 1, ""),
    ]
    assert all(one.figures["requests_per_second"] > 0 for one in found)
    assert all(one.figures["memory_mebibytes"] > 1 for one in found)


def test_a_server_that_answers_wrongly_has_no_figures(models, plan):
    honest = echo()

    def launch(stage):
        started = honest.launch(stage)
        answer = stage.directory / "answer"
        answer.write_bytes(answer.read_bytes().replace(b"0.", b"7."))
        return started

    liar = replace(honest, launch=launch)
    found = measure([liar], [IMAGE], models, plan, tell=lambda _: None)
    assert all("answers wrongly" in one.failure for one in found)
    assert not any(one.figures for one in found)


def test_a_server_that_does_not_start_costs_only_its_own_figures(models, plan):
    broken = Contestant(
        "broken",
        lambda _: Launch([sys.executable, "-c", "raise SystemExit(3)"]),
        {"binary": V2_JSON},
        lambda *_: ["/"],
    )
    found = measure([broken, echo()], [IMAGE], models, plan, tell=lambda _: None)
    assert [bool(one.failure) for one in found] == [True, False, True, False]
    assert "code 3" in found[0].failure


def test_overload_needs_a_capacity_first(models, plan):
    beyond = replace(IMAGE, load_factor=2.0, slo_seconds=0.02, capacity_from="nothing")
    server = replace(echo(), constant=False, launch=echo().launch)
    found = measure([server], [beyond], models, replace(plan, repeats=1), tell=lambda _: None)
    assert found[0].failure


def test_one_core_is_not_enough(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    with pytest.raises(RuntimeError, match="two cores"):
        default_plan()


def test_scenarios_have_names_of_their_own_and_their_capacities_come_first():
    every = closed_scenarios() + overload_scenarios()
    names = [one.name for one in every]
    assert len(set(names)) == len(names)
    for one in every:
        if one.capacity_from:
            assert names.index(one.capacity_from) < names.index(one.name)


def test_contestants_have_names_of_their_own():
    every = [echo(), *variants(), *(peer.contestant for peer in peers())]
    names = [one.name for one in every]
    assert len(set(names)) == len(names)
    assert penstock().name == "penstock"


def test_every_peer_is_pinned_and_has_its_service():
    scripts = {path.name for path in SERVICES.glob("*.py")}
    for peer in peers():
        name = peer.environment.name
        assert all("==" in requirement for requirement in peer.environment.requirements)
        assert scripts & {f"{name}_service.py", f"{name}_save.py"}
        assert any("onnxruntime==" in one for one in peer.environment.requirements)
