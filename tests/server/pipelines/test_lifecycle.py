"""The versions of the steps: awaited before a pipeline is loaded, and kept as long as it serves."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from penstock.monitoring.metrics.metrics import CounterFile
from penstock.server.config.config import load_config
from penstock.server.desired_state.state import DesiredState
from penstock.server.http.engine import Engine
from penstock.server.inference.call import Call
from penstock.server.inference.head import read_head
from penstock.server.pipelines.pin_reader import pins_of
from penstock.server.pipelines.step_sink import StepSink
from penstock.server.registry.survey import scan
from penstock.server.serving.lifecycle import State
from penstock.server.target.pipelines import pipelines_with
from penstock.server.target.plan import Outlook, aspire

from .conftest import add_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array, Model
    from penstock.server.codecs.negotiate import Body
    from penstock.server.target.plan import ModelPlan


def scaled(version: int) -> str:
    return f"""
[[steps]]
name = "only"
model = "scale"
version = {version}
inputs = {{x = "request.x"}}
[outputs]
y = "only.y"
"""


@pytest.fixture
def registry(models: Path, tmp_path: Path) -> Path:
    """The policy of ``scale`` serves its newest version alone."""
    root = tmp_path / "registry"
    shutil.copytree(models, root)
    (root / "scale" / "model.toml").unlink()
    (root / "scale" / "model.toml").write_text("version_policy = { latest = 1 }\n")
    add_pipeline(root, "p", scaled(1))
    (root / "p" / "model.toml").write_text("version_policy = { latest = 1 }\n")
    return root


def plans_of(registry: Path) -> dict[str, ModelPlan]:
    found = scan(registry)
    pins = {
        name: {version: pins_of(path) for version, path in entry.versions.items()}
        for name, entry in found.models.items()
    }
    pins = {name: {v: p for v, p in some.items() if p} for name, some in pins.items()}
    return aspire(found.models, DesiredState(), Outlook(pins=pins))


class Client:
    """Keeps the status of each answer; a `penstock.server.inference.call.ResponseWriter`."""

    peer = b""

    def __init__(self) -> None:
        self.statuses: list[int] = []

    def respond(self, _call: Call, status: int, _headers: bytes, _body: Body) -> None:
        self.statuses.append(status)

    def response_head(self, _status: int) -> bytes:
        return b""

    def answer(self, _call: Call, _answer: bytes) -> bool:
        return False

    def owes(self, _call: Call) -> bool:
        return not self.statuses


class Slow:
    """A loaded model whose first run waits for the gate."""

    def __init__(self, model: Model) -> None:
        self.signature, self.metadata, self.unload = model.signature, model.metadata, model.unload
        self.gate, self.entered = threading.Event(), threading.Event()
        self.rows = 0
        self._model = model

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        if not self.rows and inputs[0] is not None:
            self.rows = len(inputs[0])
            self.entered.set()
            assert self.gate.wait(60)
        return self._model.execute(inputs, outputs)


class Host:
    """An engine that follows plans."""

    def __init__(self, registry: Path) -> None:
        config = load_config({"registry": str(registry), "load_trials": "false"}, {})
        self.engine = Engine(config, CounterFile.anonymous())

    async def follow(self, plans: dict[str, ModelPlan]) -> None:
        await self.engine.host.apply(plans)

    def served(self, model: str) -> list[str]:
        found = self.engine.catalog.models.get(model)
        return [] if found is None else sorted(found.versions)

    def default(self, model: str) -> str | None:
        found = self.engine.catalog.models[model].default
        return None if found is None else found.version

    def status(self, model: str, version: int) -> tuple[State, str]:
        status = self.engine.catalog.statuses[model, str(version)]
        return status.state, status.reason

    def send(self, model: str, client: Client) -> Call:
        """Begin a call that nobody waits for yet."""
        call = Call(client, read_head(model, None, []), time.perf_counter())
        one = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}
        self.engine.inference.start(call, json.dumps({"inputs": [one]}).encode())
        return call

    def answer(self, model: str = "p") -> float:
        servable = self.engine.catalog.models[model].default
        assert servable is not None
        inputs = [np.full((1, 3), 0.1, np.float32)]
        return float(servable.model.execute(inputs, ["y"])[0][0, 0])


def hosted(registry: Path, test: Callable[[Host], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        host = Host(registry)
        try:
            await test(host)
        finally:
            await host.engine.close()

    asyncio.run(main())


def test_a_pinned_version_is_loaded_although_the_policy_has_another(registry: Path) -> None:
    plans = plans_of(registry)
    assert {*plans["scale"].versions} == {1, 2}
    assert plans["scale"].steps_only == (1,)
    assert plans["scale"].default == 2
    assert pipelines_with(plans, "scale", 1) == ["version 1 of model 'p'"]
    assert pipelines_with(plans, "scale", 2) == []

    async def test(host: Host) -> None:
        await host.follow(plans)
        assert host.served("scale") == ["1", "2"]
        assert host.default("scale") == "2"
        assert host.answer() == pytest.approx(np.tanh(0.05))

    hosted(registry, test)


def test_a_version_that_only_steps_use_never_answers_requests_without_a_version(
    registry: Path,
) -> None:
    (registry / "scale" / "model.toml").write_text('version_policy = "explicit"\n')

    async def test(host: Host) -> None:
        await host.follow(plans_of(registry))
        assert host.served("scale") == ["1"]
        assert host.default("scale") is None
        assert host.served("p") == ["1"]

    hosted(registry, test)


def test_the_steps_go_with_the_last_pipeline_that_uses_them(registry: Path) -> None:
    before = plans_of(registry)
    add_pipeline(registry, "p", scaled(2), version=2)
    after = plans_of(registry)

    async def test(host: Host) -> None:
        await host.follow(before)
        step = host.engine.catalog.models["scale"].versions["1"]
        assert isinstance(step.scheduled.sink, StepSink)
        await host.follow(after)
        assert host.served("p") == ["2"]
        assert host.served("scale") == ["2"]
        assert host.status("scale", 1)[0] is State.UNLOADED
        assert not isinstance(step.scheduled.sink, StepSink)
        await host.follow({name: plan for name, plan in after.items() if name == "scale"})
        assert host.served("p") == []
        assert host.served("scale") == ["2"]
        await host.follow({})
        assert host.served("scale") == []

    hosted(registry, test)


def test_a_client_is_answered_who_shares_a_run_with_a_step_of_a_pipeline_that_is_gone(
    registry: Path,
) -> None:
    add_pipeline(registry, "q", scaled(2))
    plans = plans_of(registry)
    without = {name: plan for name, plan in plans.items() if name != "q"}

    async def test(host: Host) -> None:
        await host.follow(plans)
        step = host.engine.catalog.models["scale"].versions["2"]
        step.scheduled.group.state.inline_limit = 0.0  # its runs take threads
        slow = step.scheduled.model = Slow(step.scheduled.model)
        withdrawn = host.send("q", Client())
        client = Client()
        host.send("scale", client)
        await until(slow.entered.is_set)
        assert slow.rows == 2
        host.engine.inference.abandon(withdrawn)
        await host.follow(without)
        assert host.served("q") == []
        assert not client.statuses
        slow.gate.set()
        await until(lambda: client.statuses)
        assert client.statuses == [200]
        await host.follow(plans)  # the sink that stayed is not put into another
        assert isinstance(step.scheduled.sink, StepSink)
        assert not isinstance(step.scheduled.sink.direct, StepSink)
        await host.follow(without)
        assert not isinstance(step.scheduled.sink, StepSink)

    hosted(registry, test)


def test_a_pipeline_that_goes_on_serving_keeps_its_steps(registry: Path) -> None:
    """Its successor cannot be loaded, and the plan names the steps of the successor alone."""
    before = plans_of(registry)
    add_pipeline(registry, "p", scaled(2).replace("only.y", "only.q"), version=2)
    after = plans_of(registry)
    assert {*after["scale"].versions} == {2}

    async def test(host: Host) -> None:
        await host.follow(before)
        await host.follow(after)
        assert host.status("p", 2)[0] is State.FAILED
        assert "'only.q' is not there" in host.status("p", 2)[1]
        assert host.served("p") == ["1"]
        assert host.served("scale") == ["1", "2"]
        assert host.answer() == pytest.approx(np.tanh(0.05))
        await host.follow({name: plan for name, plan in after.items() if name == "p"})
        assert host.served("scale") == ["1"]
        assert host.answer() == pytest.approx(np.tanh(0.05))

    hosted(registry, test)


def test_a_missing_version_is_a_clear_refusal_until_it_comes(registry: Path) -> None:
    add_pipeline(registry, "q", scaled(3))
    before = plans_of(registry)

    async def test(host: Host) -> None:
        await host.follow(before)
        state, reason = host.status("q", 1)
        assert state is State.FAILED
        assert reason == (
            "step 'only' (model 'scale' version 3): the version is not in the registry, or may "
            "not be loaded"
        )
        shutil.copytree(registry / "scale" / "2", registry / "scale" / "3")
        await host.follow(plans_of(registry))
        assert host.served("q") == ["1"]

    hosted(registry, test)


def test_a_step_that_cannot_be_loaded_is_named_with_its_reason(registry: Path) -> None:
    (registry / "scale" / "1" / "model.onnx").write_bytes(b"no model")

    async def test(host: Host) -> None:
        await host.follow(plans_of(registry))
        state, reason = host.status("p", 1)
        assert state is State.FAILED
        assert reason.startswith("step 'only' (model 'scale' version 1): the version could not be ")

    hosted(registry, test)


def test_a_step_must_be_no_pipeline(registry: Path) -> None:
    add_pipeline(registry, "q", scaled(1).replace('"scale"', '"p"'))

    async def test(host: Host) -> None:
        await host.follow(plans_of(registry))
        assert host.status("q", 1)[1] == (
            "step 'only' (model 'p' version 1) is a pipeline itself, expected a model"
        )
        assert host.served("p") == ["1"]

    hosted(registry, test)


def test_a_step_out_of_service_takes_its_pipelines_along_and_back(registry: Path) -> None:
    plans = plans_of(registry)
    (step,) = plans["p"].steps[1]
    out = {
        **plans,
        "scale": replace(plans["scale"], quarantined={1: "it crashed"}),
        "p": replace(plans["p"], steps={1: (replace(step, kept_out="it crashed"),)}),
    }
    again = {  # an operator asks for it
        **plans,
        "scale": replace(plans["scale"], retried={1: 5.0}),
        "p": replace(plans["p"], steps={1: (replace(step, retried=5.0),)}),
    }

    async def test(host: Host) -> None:
        await host.follow(plans)
        await host.follow(out)
        await until(lambda: host.status("p", 1)[0] is State.FAILED)
        assert host.status("p", 1)[1] == (
            "step 'only' (model 'scale' version 1) is out of service: it crashed"
        )
        assert host.served("p") == []
        assert host.served("scale") == ["2"]
        await host.follow(again)
        assert host.served("p") == ["1"]
        assert host.answer() == pytest.approx(np.tanh(0.05))

    hosted(registry, test)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  tasks of the host change what it looks at
            await asyncio.sleep(0.01)
