"""A mistake at any step: every call is answered once or its connection ends, and nobody hangs.

One step of the path raises at one of its calls while requests of all kinds are under way, by either
front end. Afterwards the next requests are answered right, and nothing is left in flight.
"""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import moody
import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from socketless import Transport
from uvicorn.config import Config
from uvicorn.server import ServerState

from penstock.batching.delivery import Delivery
from penstock.batching.dispatcher import Dispatcher
from penstock.batching.executor import ThreadExecutor
from penstock.batching.scheduled_model import ScheduledModel
from penstock.batching.scheduler import Scheduler
from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.model_counters import ModelCounters
from penstock.monitoring.samples.sample_buffer import SampleBuffer
from penstock.server import create_app
from penstock.server.codecs.negotiate import JSON, MSGPACK
from penstock.server.config.model_config import ModelConfig
from penstock.server.http.coalescing import group_runner
from penstock.server.http.coalescing.coalescer import Coalescer
from penstock.server.http.coalescing.group import CoalescingGroup
from penstock.server.http.coalescing.group_runner import GroupRunner
from penstock.server.http.coalescing.linger import Linger
from penstock.server.http.coalescing.request_templates import RequestTemplates
from penstock.server.http.connection import Connection
from penstock.server.http.fastpath import FastPathProtocol
from penstock.server.inference import answers, inference, large_answers, responder
from penstock.server.inference.arm_counter import ArmCounter
from penstock.server.inference.fallback_timer import FallbackTimer
from penstock.server.inference.halt_poll import HaltPoll
from penstock.server.inference.inference import InferencePath
from penstock.server.inference.large_answers import LargeAnswers
from penstock.server.inference.responder import Responder
from penstock.server.inference.sampling import Sampling
from penstock.server.inference.shadow_sender import ShadowSender
from penstock.server.inference.traffic_splitter import TrafficSplitter
from penstock.server.rollout.traffic import Split
from penstock.server.serving.input_validation import Quality
from penstock.server.target.plan import ModelPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

#: What may raise: where it is looked up, and its name there.
STEPS: list[tuple[Any, str]] = [
    *[
        (Responder, name)
        for name in ("_answer", "_answer_coalesced", "_fail_batch", "_refuse", "_fail")
    ],
    *[
        (responder, name)
        for name in ("calls_of", "encode_run", "encode_coalesced", "write_answers")
    ],
    *[(answers, name) for name in ("calls_of", "encode_batch", "unsound")],
    *[(LargeAnswers, name) for name in ("are_of", "start", "_answer")],
    *[(large_answers, name) for name in ("calls_of", "contained", "_encode", "unsound")],
    *[(large_answers, name) for name in ("array_bytes", "encode_large")],
    (answers, "encode_pieces"),
    *[(responder, name) for name in ("api_error", "error_answer", "lines_of")],
    *[
        (TrafficSplitter, name)
        for name in ("assign", "sift", "forsake", "answer", "release", "fail")
    ],
    *[(TrafficSplitter, name) for name in ("_fall_back", "_give_up", "_look_closer")],
    *[(ArmCounter, name) for name in ("count", "second_try")],
    *[(FallbackTimer, name) for name in ("add", "discard")],
    *[(GroupRunner, name) for name in ("_serve_group", "_share", "_serve", "_queue", "_run")],
    *[(GroupRunner, name) for name in ("_prepare", "_refuse", "singly")],
    (group_runner, "rows_codec"),
    *[(Coalescer, name) for name in ("try_take", "read", "learn")],
    *[(RequestTemplates, name) for name in ("learn", "find", "_learn_text", "_learn_raw")],
    *[(Linger, name) for name in ("expects", "ran")],
    (CoalescingGroup, "template"),
    *[(InferencePath, name) for name in ("_enqueue", "_unpack", "new_id")],
    (inference, "rows_codec"),
    *[(Scheduler, name) for name in ("submit", "run_now", "begin_tick", "cancel", "short_rows")],
    *[(Dispatcher, name) for name in ("_pass", "_run_inline", "_hand_over", "_rest", "run_alone")],
    (Delivery, "_note_answer"),
    (ThreadExecutor, "start"),
    (ScheduledModel, "account"),
    *[(type(JSON), name) for name in ("decode", "encode", "encode_rows")],
    *[(type(MSGPACK), name) for name in ("decode", "encode", "encode_rows")],
    *[(ModelCounters, name) for name in ("enter", "leave", "observe_batch", "observe_many")],
    *[(ModelCounters, name) for name in ("observe_request", "sampled", "drop", "add")],
    *[(Sampling, name) for name in ("take", "offer", "count_rows", "offer_rows", "failed")],
    *[(SampleBuffer, name) for name in ("offer", "offer_rows", "picked", "offer_failure")],
    (HaltPoll, "answered"),
    (ShadowSender, "offer"),
    *[(Quality, name) for name in ("tally", "examine", "passes")],
    *[(Connection, name) for name in ("response_head", "_write", "_write_next")],
    (Transport, "write"),
]
RAISED = [RuntimeError("a mistake"), MemoryError(), KeyError("gone"), ZeroDivisionError()]
TIMEOUT_SECONDS = 0.05
#: Of outputs: requests of 100 rows have more, and so have several of them in a run.
LARGE_ANSWER_BYTES = 399
HANG_SECONDS = 0.1


@dataclass
class Line(Transport):
    """A connection that its protocol may break off."""

    protocol: Any = None
    written: bytes = b""
    lost: bool = False

    def abort(self) -> None:
        if not self.lost:
            self.lost = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def can_write_eof(self) -> bool:
        return False


@dataclass(frozen=True)
class Ask:
    """One request.

    Attributes:
        frontend: ``fast`` or ``asgi``.
        packed: Whether the body is msgpack.
        rows: All of them hold the value.
        size: The body is padded to this; large ones are decoded on a thread.
    """

    value: float
    arm: str = ""
    frontend: str = "fast"
    packed: bool = False
    rows: int = 1
    size: int = 0

    @property
    def body(self) -> bytes:
        tensor = {
            "name": "x",
            "shape": [self.rows, 1],
            "datatype": "FP32",
            "data": [self.value] * self.rows,
        }
        if self.packed:
            return msgpack.packb({"inputs": [tensor]})
        return json.dumps({"inputs": [tensor]}).encode().ljust(self.size)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        found = [(b"host", b"x"), (b"content-length", str(len(self.body)).encode())]
        if self.packed:
            found.append((b"content-type", b"application/msgpack"))
        if self.arm:
            found.append((b"x-penstock-arm", self.arm.encode()))
        return found

    def raw(self, model: str) -> bytes:
        lines = [b"%b: %b" % pair for pair in self.headers]
        first = f"POST /v2/models/{model}/infer HTTP/1.1".encode()
        return b"\r\n".join([first, *lines, b"", self.body])


@dataclass
class Fate:
    """What became of a request."""

    ask: Ask
    statuses: list[int] = field(default_factory=list)
    body: bytes = b""
    broken: bool = False

    @property
    def over(self) -> bool:
        return bool(self.statuses) or self.broken

    @property
    def value(self) -> float | None:
        """The answered value; ``None`` for NaN."""
        decode = msgpack.unpackb if self.ask.packed else json.loads
        (output,) = decode(self.body)["outputs"]
        data = output["data"]
        if isinstance(data, bytes):
            data = np.frombuffer(data, np.float32).tolist()
        assert len(data) == self.ask.rows
        assert len(set(map(str, data))) == 1
        value = data[0]
        return None if value is None or math.isnan(value) else value


class Bench:
    """A whole server without sockets, with everything that looks at answers."""

    def __init__(self, registry: Path, place: Path) -> None:
        self.runner = asyncio.Runner()
        # Without trials: a process of its own does not know a plug-in of this process.
        options = {"large_body_bytes": 1024, "large_answer_bytes": LARGE_ANSWER_BYTES}
        self.app = create_app(registry, threads=2, sample_rate=1.0, load_trials=False, **options)
        self._lifespan = self.app._routed.router.lifespan_context(self.app._routed)
        self._state = self.runner.run(self._lifespan.__aenter__())
        self._config = Config(self.app, access_log=False, ws="none", log_config=None)
        self._config.load()
        self.engine = self.app.engine
        self._splitter = 0
        self.runner.get_loop().set_exception_handler(lambda *_: None)
        for model in self.engine.catalog.models.values():
            for one in model.versions.values():
                feed = ShadowSender("r", 1.0, one.counters, place / "nobody.sock", lambda *_: None)
                self.engine.inference.shadow_senders[one.name, one.version] = feed

    def close(self) -> None:
        self.runner.run(self._lifespan.__aexit__(None, None, None))
        self.runner.close()

    def run(self, model: str, asks: Sequence[Ask], broken: Callable[[], Any]) -> list[Fate]:
        """Send all in one iteration of the loop while ``broken`` is entered."""

        async def main() -> list[Fate]:
            loop = asyncio.get_running_loop()
            moody.LET_GO.clear()
            loop.call_later(HANG_SECONDS, moody.LET_GO.set)
            with broken():
                fates = [self._send(model, ask) for ask in asks]
                await until(lambda: all(fate.over for fate in fates))
            state = self.engine._scheduler._state
            await until(lambda: state.free == state.threads)
            for _ in range(3):
                await asyncio.sleep(0)
            return fates

        return self.runner.run(main())

    def share(self, model: str, *, fallback: bool) -> None:
        self._splitter += 1
        split = Split(f"r-{self._splitter}", 2, 50.0, fallback=fallback, slow_seconds=0.001)
        paths: Any = {1: None, 2: None}
        plan = ModelPlan(model, paths, 1, {}, ModelConfig(), pinned=True, split=split)
        self.runner.run(self._steer(plan))

    async def _steer(self, plan: ModelPlan) -> None:
        model = self.engine.catalog.models[plan.name]
        self.engine.host._publish(plan, model.versions, model)

    def unsplit(self, model: str) -> None:
        paths: Any = {1: None, 2: None}
        self.runner.run(self._steer(ModelPlan(model, paths, 1, {}, ModelConfig(), pinned=True)))

    def left_over(self) -> dict[str, int]:
        """What is not as it was before anybody came."""
        found = {}
        for model in self.engine.catalog.models.values():
            for one in model.versions.values():
                in_flight = self.engine.counters.model(one.name, one.version)._slots
                found[f"in flight {one.name} {one.version}"] = in_flight[layout.IN_FLIGHT]
                found[f"decoding {one.name} {one.version}"] = one._coding
        for one in self.engine._scheduler._models:
            key = one.name, one.version
            found[f"running {key}"] = sum(queue.running for queue in one.queues())
            found[f"waiting {key}"] = one.waiting_rows
        return {name: count for name, count in found.items() if count}

    def _send(self, model: str, ask: Ask) -> Fate:
        fate = Fate(ask)
        if ask.frontend == "asgi":
            asyncio.get_running_loop().create_task(self._call(model, fate))
            return fate
        line = Line()
        line.protocol = protocol = FastPathProtocol(self._config, ServerState(), dict(self._state))
        protocol.connection_made(line)  # type: ignore[arg-type]
        watch(line, fate)
        try:
            protocol.data_received(ask.raw(model))
        except Exception:  # noqa: BLE001  an event loop ends the connection
            line.abort()
        return fate

    async def _call(self, model: str, fate: Fate) -> None:
        path = f"/v2/models/{model}/infer"
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": fate.ask.headers,
        }
        given = [{"type": "http.request", "body": fate.ask.body, "more_body": False}]

        async def receive() -> Any:
            return given.pop() if given else await asyncio.Event().wait()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                fate.statuses.append(message["status"])
            fate.body += message.get("body", b"")

        try:
            await self.app(scope, receive, send)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001  an ASGI server answers 500
            fate.broken = True


def watch(line: Line, fate: Fate) -> None:
    """Follow what is written on a line."""

    def look() -> None:
        rest = line.written
        fate.statuses = []
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            size = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
            fate.statuses.append(int(head.split()[1]))
            fate.body, rest = rest[:size], rest[size:]
        fate.broken = line.lost
        if not fate.over:
            asyncio.get_running_loop().call_later(0.001, look)

    asyncio.get_running_loop().call_soon(look)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  answers have no event here
            await asyncio.sleep(0.001)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    registry = tmp_path_factory.mktemp("faulty")
    moody.add_moody(registry, "quick", ["x", "x"], 0.0)
    moody.add_moody(registry, "calm", ["x", "x"], 0.002)
    patient = "\n[batching]\nmax_queue_seconds = 60\n"  # nobody is refused on a busy machine
    quality = '\n[quality.fields.x]\nmin = -5000\npolicy = "{}"\n'
    for model, action in (("quick", "pass"), ("calm", "reject")):
        path = registry / model / "model.toml"
        path.write_text(path.read_text() + patient + quality.format(action))
    place = tmp_path_factory.mktemp("place")
    with (
        moody.installed(tmp_path_factory.mktemp("site")),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr("penstock.server.rollout.routing.LEAST_TIMEOUT_SECONDS", TIMEOUT_SECONDS)
        made = Bench(registry, place)
        yield made
        made.close()


@contextmanager
def mistake(
    holder: Any, name: str, error: Exception, at_call: int, *, before: bool
) -> Iterator[None]:
    """Meanwhile the step raises once, at this call of it."""
    step = getattr(holder, name)
    calls = iter(range(10_000))

    def failing(*args: Any, **kwargs: Any) -> Any:
        now = next(calls) == at_call
        if now and before:
            raise error
        result = step(*args, **kwargs)
        if now:
            raise error
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holder, name, failing)
        yield


@contextmanager
def nothing() -> Iterator[None]:
    yield


asks = st.lists(
    st.builds(
        Ask,
        value=st.sampled_from(
            [1.0, 2.0, 3.0, moody.RAISE, moody.NAN, moody.SHORT, moody.HOPELESS, -9999.0]
        ),
        arm=st.sampled_from(["", "", "", "canary"]),
        frontend=st.sampled_from(["fast", "fast", "fast", "asgi"]),
        packed=st.booleans(),
        rows=st.sampled_from([1, 1, 1, 1, 100]),
        size=st.sampled_from([0, 0, 0, 2000]),
    ),
    min_size=4,
    max_size=10,
)


@pytest.mark.parametrize(("holder", "name"), STEPS, ids=lambda one: getattr(one, "__name__", one))
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # an example that hangs takes seconds; it is not made smaller
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_every_call_ends_once_and_the_next_are_answered_right(
    bench: Bench, holder: Any, name: str, data: st.DataObject
) -> None:
    model = data.draw(st.sampled_from(["quick", "calm"]))
    split = data.draw(st.sampled_from([None, True, False]))
    if split is None:
        bench.unsplit(model)
    else:
        bench.share(model, fallback=split)
    good = [
        Ask(float(i), "", frontend) for i in range(1, 4) for frontend in ("fast", "fast", "asgi")
    ]
    good += [Ask(4.0, packed=True), Ask(5.0, size=2000), Ask(6.0, rows=100)]
    fates = bench.run(model, good, nothing)
    check(fates, 200)
    drawn = data.draw(asks)
    if model == "calm" and (holder is FallbackTimer or name == "_give_up"):
        drawn.append(Ask(moody.HANG, "canary"))  # "quick" would hang on the event loop
    error = data.draw(st.sampled_from(RAISED))
    at_call = data.draw(st.integers(0, 4))
    # What counts and raises all the same has counted: nobody could tell.
    before = holder is ModelCounters or data.draw(st.booleans())
    check(bench.run(model, drawn, lambda: mistake(holder, name, error, at_call, before=before)))
    assert bench.left_over() == {}
    check(bench.run(model, good, nothing), 200)
    assert bench.left_over() == {}


def check(fates: Sequence[Fate], status: int | None = None) -> None:
    """Each has one answer, or its connection ended; what is answered is right."""
    for fate in fates:
        assert len(fate.statuses) <= 1, "answered twice"
        if status is not None:
            assert fate.statuses == [status]
        if fate.statuses == [200]:
            value = fate.value
            assert value in {fate.ask.value, 2 * fate.ask.value, None}
            assert value is not None or fate.ask.value == moody.NAN
