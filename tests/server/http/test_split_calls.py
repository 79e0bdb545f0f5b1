"""Every request of a split is answered exactly once, and counted once, whatever its model does.

In one process without sockets: requests of one iteration of the loop meet in groups, fail together,
are split, fall back, hang, and lose their clients.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import moody
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from socketless import Told, Transport, read
from uvicorn.config import Config
from uvicorn.server import ServerState

from penstock.batching.request import Batch, InferenceRequest
from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.server import create_app
from penstock.server.codecs.negotiate import JSON
from penstock.server.config.model_config import ModelConfig
from penstock.server.http.coalescing.group import CoalescingGroup, GroupKey
from penstock.server.http.coalescing.group_runner import GroupRunner
from penstock.server.http.fastpath import FastPathProtocol
from penstock.server.inference.call import Call
from penstock.server.inference.coalesced_calls import CoalescedCalls
from penstock.server.inference.head import read_head
from penstock.server.inference.responder import Responder
from penstock.server.inference.traffic_splitter import TrafficSplitter
from penstock.server.rollout.traffic import Split
from penstock.server.serving.active_split import ActiveSplit, Assignment
from penstock.server.target.plan import ModelPlan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: A canary that hangs is given up after this.
TIMEOUT_SECONDS = 0.05
#: What is counted of an arm.
SLOTS = (*range(layout.ARM_REQUESTS, layout.ARM_FALLBACKS + 1), layout.IN_FLIGHT)
#: Hanging runs go on after this.
HANG_SECONDS = 0.15


@dataclass(frozen=True)
class Ask:
    """One request on a connection of its own."""

    value: float
    arm: str = ""
    timeout_ms: int = 0
    leaves_after: float | None = None

    @property
    def raw(self) -> bytes:
        tensor = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [self.value]}
        body = json.dumps({"inputs": [tensor]}).encode()
        lines = [f"content-length: {len(body)}"]
        lines += [f"x-penstock-arm: {self.arm}"] * bool(self.arm)
        lines += [f"x-request-timeout-ms: {self.timeout_ms}"] * bool(self.timeout_ms)
        return (
            "\r\n".join(["POST /v2/models/{}/infer HTTP/1.1", "host: x", *lines, "", ""]).encode()
            + body
        )

    def to(self, model: str) -> bytes:
        return self.raw.replace(b"{}", model.encode(), 1)


class Bench:
    """A whole server without sockets."""

    def __init__(self, registry: Any) -> None:
        self.runner = asyncio.Runner()
        self.app = create_app(registry, threads=8)
        self._lifespan = self.app._routed.router.lifespan_context(self.app._routed)
        self._state = self.runner.run(self._lifespan.__aenter__())
        self._config = Config(self.app, access_log=False, ws="none", log_config=None)
        self._config.load()
        self._splitter = 0

    def close(self) -> None:
        self.runner.run(self._lifespan.__aexit__(None, None, None))
        self.runner.close()

    def slots(self, model: str, version: str) -> memoryview:
        return self.app.engine.counters.model(model, version)._slots

    def run(
        self, model: str, asks: Sequence[Ask], *, fallback: bool = True
    ) -> tuple[list[list[Told]], dict[str, dict[int, int]]]:
        """Send all in one iteration of the loop.

        Returns:
            What each was told, and what was counted of each arm.
        """
        return self.runner.run(self._run(model, asks, fallback=fallback))

    async def _run(
        self, model: str, asks: Sequence[Ask], *, fallback: bool
    ) -> tuple[list[list[Told]], dict[str, dict[int, int]]]:
        loop = asyncio.get_running_loop()
        self._share(model, fallback=fallback)
        before = {version: list(self.slots(model, version)) for version in "12"}
        moody.LET_GO.clear()
        loop.call_later(HANG_SECONDS, moody.LET_GO.set)
        transports = [self._send(loop, model, ask) for ask in asks]
        await asyncio.sleep(0)  # groups are served at the end of the iteration
        staying = [t for t, ask in zip(transports, asks, strict=True) if ask.leaves_after is None]
        await self._until(lambda: all(transport.written for transport in staying))
        versions = self.app.engine.catalog.models[model].versions.values()
        await self._until(lambda: not any(one.routed for one in versions))
        counted = {
            arm: {
                slot: self.slots(model, version)[slot] - before[version][slot]
                for slot in (
                    *range(layout.ARM_REQUESTS, layout.ARM_FALLBACKS + 1),
                    layout.IN_FLIGHT,
                )
            }
            for arm, version in (("stable", "1"), ("canary", "2"))
        }
        return [read(transport.written) for transport in transports], counted

    def _share(self, model: str, *, fallback: bool) -> None:
        self._splitter += 1
        split = Split(f"r-{self._splitter}", 2, 50.0, fallback=fallback, slow_seconds=0.001)
        paths: Any = {1: None, 2: None}
        plan = ModelPlan(model, paths, 1, {}, ModelConfig(), pinned=True, split=split)
        self.app.engine.host.steer({model: plan})

    def _send(self, loop: asyncio.AbstractEventLoop, model: str, ask: Ask) -> Transport:
        transport = Transport()
        protocol = FastPathProtocol(self._config, ServerState(), dict(self._state))
        protocol.connection_made(transport)  # type: ignore[arg-type]
        protocol.data_received(ask.to(model))

        def leave() -> None:
            transport.lost = True
            protocol.connection_lost(None)

        if ask.leaves_after is not None:
            loop.call_later(ask.leaves_after, leave)
        return transport

    @staticmethod
    async def _until(condition: Any) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110  nothing tells of counters
                await asyncio.sleep(0.001)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    registry = tmp_path_factory.mktemp("moods")
    moody.add_moody(registry, "quick", ["x", "x"], 0.0)
    moody.add_moody(registry, "calm", ["x", "x"], 0.002)
    with moody.installed(tmp_path_factory.mktemp("site")), pytest.MonkeyPatch.context() as patch:
        patch.setattr("penstock.server.rollout.routing.LEAST_TIMEOUT_SECONDS", TIMEOUT_SECONDS)
        made = Bench(registry)
        yield made
        made.close()


MOODS = {
    "quick": [1.0, 2.0, moody.RAISE, moody.NAN, moody.SHORT, moody.UNSUITABLE, moody.HOPELESS],
    "calm": [1.0, 2.0, moody.RAISE, moody.NAN, moody.SHORT, moody.HANG, moody.SLOW],
}


def asks_of(model: str) -> st.SearchStrategy[list[Ask]]:
    one = st.builds(
        Ask,
        st.sampled_from(MOODS[model]),
        st.sampled_from(["", "", "canary", "stable"]),
        st.sampled_from([0, 0, 0, 60, 400]),
        st.sampled_from([None, None, None, 0.0, 0.004]),
    )
    return st.lists(one, min_size=1, max_size=16)


@pytest.mark.parametrize("model", ["quick", "calm"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), fallback=st.booleans())
def test_every_request_is_answered_and_counted_once(
    bench: Bench, model: str, data: st.DataObject, fallback: bool
) -> None:
    asks = data.draw(asks_of(model))
    told, counted = bench.run(model, asks, fallback=fallback)
    left = sum(ask.leaves_after is not None for ask in asks)
    answers = []
    for ask, all_told in zip(asks, told, strict=True):
        assert len(all_told) <= 1, "answered twice"
        if ask.leaves_after is None:
            assert len(all_told) == 1, "not answered"
        answers += [(ask, answer) for answer in all_told]
    for ask, answer in answers:
        check(ask, answer, fallback=fallback)
    for arm in ("stable", "canary"):
        assert counted[arm][layout.IN_FLIGHT] == 0
        served = [
            (ask, answer)
            for ask, answer in answers
            if not ask.arm and answer.arm == arm and (answer.status != 503 or answer.fell_back)
        ]
        # A fault of the inputs is evidence only where stable is not asked about them.
        at_fault = [one for one in served if one[1].status == 400 and fallback]
        evidence = [one for one in served if one not in at_fault]
        # Admission may refuse a call with a short deadline; stable answers, and it does not count.
        hurried = sum(answer.fell_back and ask.timeout_ms > 0 for ask, answer in evidence)
        # A canary that was given up before it said anything is at fault whatever stable says then.
        late = min(len(at_fault), counted[arm][layout.ARM_TIMEOUTS])
        assert -hurried <= counted[arm][layout.ARM_REQUESTS] - len(evidence) <= left + late
        fallen = sum(answer.fell_back for _, answer in served)
        assert 0 <= counted[arm][layout.ARM_FALLBACKS] - fallen <= left
        for kind in (layout.ARM_ERRORS, layout.ARM_TIMEOUTS, layout.ARM_INVALID, layout.ARM_SLOW):
            assert counted[arm][kind] <= counted[arm][layout.ARM_REQUESTS]


def test_inputs_that_stable_fails_on_as_well_are_no_evidence_against_the_canary(
    bench: Bench,
) -> None:
    asks = [Ask(moody.HOPELESS) for _ in range(40)]
    told, counted = bench.run("quick", asks)
    fallen = [answers[0].fell_back for answers in told]
    assert [answers[0].status for answers in told] == [400] * 40
    assert 0 < sum(fallen) < 40
    # On a busy machine a canary may be given up before it says anything.
    timeouts = counted["canary"][layout.ARM_TIMEOUTS]
    assert counted["canary"][layout.ARM_REQUESTS] == timeouts
    assert counted["canary"][layout.ARM_ERRORS] == counted["stable"][layout.ARM_REQUESTS] == 0
    assert counted["canary"][layout.ARM_FALLBACKS] == sum(fallen)


def test_a_call_that_another_version_has_now_is_not_answered_by_the_one_that_it_left() -> None:
    file = CounterFile.anonymous()
    stable, canary = (
        SimpleNamespace(routed=0, counters=file.model("m", version)) for version in "12"
    )
    call = Call(None, read_head("m", None, []), 0.0)  # type: ignore[arg-type]
    call.servable, call.entered = stable, True  # type: ignore[assignment]
    stable.counters.enter()
    batch = Batch((InferenceRequest((), 1, ("y",), 0.0, context=call),), 0.0)
    responder: Any = object.__new__(Responder)
    responder._answer(canary, batch, ([call], [0], [call], [(b"", b"")], set()))
    assert call.entered
    in_flight = [one.counters._slots[layout.IN_FLIGHT] for one in (stable, canary)]
    assert in_flight == [1, 0]


def check(ask: Ask, answer: Told, *, fallback: bool) -> None:
    """Whether the answer is one that this request may get."""
    version = int(answer.headers["x-model-version"])
    if ask.arm:
        assert answer.arm == ask.arm
    assert version == (2 if answer.arm == "canary" and not answer.fell_back else 1)
    late = {503, 504} if ask.timeout_ms else set()
    if answer.status == 200:
        nothing = version == 2 and ask.value == moody.NAN
        assert answer.value == (None if nothing else ask.value * version)
        assert not (nothing and fallback)
    elif ask.value == moody.HOPELESS:
        assert answer.status in {400} | late
    elif version == 2 and not fallback:
        assert ask.value in {moody.RAISE, moody.SHORT, moody.UNSUITABLE} or answer.status in late
        assert answer.status in {400} | late
    else:
        assert answer.status in late


def test_requests_of_one_iteration_share_a_run_in_each_arm(bench: Bench) -> None:
    asks = [Ask(float(i)) for i in range(10, 42)]
    for _ in range(3):  # heads and bodies become known
        told, counted = bench.run("quick", asks)
    active_split = [answers[0].arm for answers in told]
    assert [answers[0].value for answers in told] == [
        ask.value * (1 if arm == "stable" else 2)
        for ask, arm in zip(asks, active_split, strict=True)
    ]
    assert {arm: counted[arm][layout.ARM_REQUESTS] for arm in counted} == {
        arm: active_split.count(arm) for arm in ("stable", "canary")
    }
    ids = {answers[0].headers["x-request-id"] for answers in told}
    assert len(ids) == len(asks)
    runs = [
        sum(bench.slots("quick", version)[layout.BATCH_ROWS.first : layout.BATCH_ROWS.total])
        for version in "12"
    ]
    bench.run("quick", asks)
    again = [
        sum(bench.slots("quick", version)[layout.BATCH_ROWS.first : layout.BATCH_ROWS.total])
        for version in "12"
    ]
    assert [after - before for before, after in zip(runs, again, strict=True)] == [1, 1]


def test_only_the_culprit_of_a_lane_falls_back(bench: Bench) -> None:
    asks = [Ask(float(i), "canary") for i in range(110, 118)]
    for _ in range(3):
        bench.run("quick", asks)
    told, _ = bench.run("quick", [*asks, Ask(moody.RAISE, "canary"), Ask(moody.NAN, "canary")])
    assert [answers[0].fell_back for answers in told] == [False] * 8 + [True, True]
    assert [answers[0].value for answers in told[8:]] == [moody.RAISE, moody.NAN]


def test_a_group_that_fails_after_it_was_given_up_disturbs_nobody() -> None:
    counters = CounterFile.anonymous()
    stable, canary = (
        SimpleNamespace(routed=routed, counters=counters.model("m", version))
        for routed, version in ((0, "1"), (2, "2"))
    )
    active_split = ActiveSplit(Split("r", 2, 50.0), stable, canary)  # type: ignore[arg-type]
    head = read_head("m", None, [])
    calls = [Call(None, head, 0.0) for _ in range(2)]  # type: ignore[arg-type]
    for call, servable in zip(calls, (stable, canary), strict=True):
        call.assignment = Assignment(active_split, "canary")
        call.servable = servable  # type: ignore[assignment]
    resumed: list[Any] = []
    path = SimpleNamespace(resume=lambda *given: resumed.append(given))
    splitter = TrafficSplitter(None, None, None, None, None)  # type: ignore[arg-type]
    runner = GroupRunner(None, None, path, splitter, None)  # type: ignore[arg-type]
    group = CoalescingGroup(GroupKey("m", None, None, b"", b"[", b"]"), JSON)
    coalesced = CoalescedCalls(group, calls, [b"1", b"2"])
    runner.singly(coalesced, canary)  # type: ignore[arg-type]
    assert resumed == [(calls[1], b"[2]", canary)]
    assert (stable.routed, canary.routed) == (0, 1)
