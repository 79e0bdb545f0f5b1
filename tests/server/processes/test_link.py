"""The link between control and a worker, over a real socket."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from penstock.server.config.model_config import ModelConfig
from penstock.server.control.coordination.fleet import Fleet
from penstock.server.errors import Unavailable
from penstock.server.processes import frames
from penstock.server.processes.frames import BadFrame, pack_frame, read_frame
from penstock.server.target.plan import ModelPlan
from penstock.server.target.target import Target
from penstock.server.worker import link as link_module
from penstock.server.worker.link import Link

MODEL = {"name": "m", "version": "1", "state": "READY", "directory": "/r/m/1"}
TARGET = Target(7, {"m": ModelPlan("m", {1: Path("/r/m/1")}, 1, {}, ModelConfig())})


class Pair:
    """A control and a worker that found each other."""

    def __init__(self, path):
        self.path = path / "control.sock"
        self.targets = asyncio.Queue()
        self.pauses = []
        hello = {"process": "worker-0", "incarnation": "one", "pid": 1}
        self.link = Link(self.path, hello, self.targets.put_nowait, self.pause)
        self.task = asyncio.create_task(self.link.run())
        self.fleet = None

    async def pause(self, seconds):
        self.pauses.append(seconds)
        await asyncio.sleep(0.001)

    async def control(self):
        self.fleet = Fleet(self.metrics)
        self.fleet.send_target(TARGET)
        await self.fleet.listen(self.path)
        return self.fleet

    async def metrics(self, accept):
        return b"text/plain", b"for " + accept.encode()

    async def close(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        if self.fleet is not None:
            self.fleet.close()
        await asyncio.sleep(0.01)


def scenario(body):
    """Run an asynchronous test with a `Pair`."""

    def test(tmp_path):
        async def main():
            pair = Pair(tmp_path)
            try:
                async with asyncio.timeout(60):
                    await body(pair)
            finally:
                await pair.close()

        asyncio.run(main())

    test.__name__ = body.__name__
    return test


async def until(condition):
    while not condition():  # noqa: ASYNC110  conditions of objects that have no events
        await asyncio.sleep(0.001)


@scenario
async def test_a_worker_gets_the_target_and_control_its_report(pair):
    fleet = await pair.control()
    assert await pair.targets.get() == TARGET
    assert not fleet.converged()
    pair.link.report(target=7, steered=7, ready=True, models=[MODEL])
    assert await fleet.wait_converged(5)
    (worker,) = fleet.workers.values()
    assert (worker.process, worker.ready, worker.models) == ("worker-0", True, [MODEL])
    fleet.expected = 2
    assert not fleet.converged()
    assert not await fleet.wait_converged(0.01)


@scenario
async def test_a_worker_looks_for_control_less_and_less_often_but_every_second(pair):
    await until(lambda: len(pair.pauses) >= 9)
    assert pair.pauses == sorted(pair.pauses)
    assert pair.pauses[0] <= 0.05
    assert pair.pauses[8] == 1.0
    await pair.control()
    assert await pair.targets.get() == TARGET


@scenario
async def test_the_next_control_learns_the_latest_report(pair):
    first = await pair.control()
    pair.link.report(target=6, steered=6, ready=False, models=[])
    await until(lambda: first.workers and not first.converged())
    first.close()
    await until(lambda: not pair.link.writable)
    pair.link.report(target=7, steered=7, ready=True, models=[])
    second = await pair.control()
    assert await second.wait_converged(5)
    assert not first.workers


@scenario
async def test_a_nudge_makes_control_look_and_is_lost_without_it(pair):
    pair.link.request_check()
    history = []
    fleet = await pair.control()
    fleet.on_check_request = lambda: history.append(1)
    await pair.targets.get()
    pair.link.request_check()
    await until(lambda: history)
    assert history == [1]


@scenario
async def test_a_new_target_reaches_everybody(pair):
    fleet = await pair.control()
    assert (await pair.targets.get()).number == 7
    fleet.send_target(Target(8, {}))
    assert (await pair.targets.get()).number == 8


@scenario
async def test_metrics_come_from_control_and_are_unavailable_without_it(pair):
    with pytest.raises(Unavailable, match="restarting"):
        await pair.link.metrics("")
    fleet = await pair.control()
    await until(lambda: pair.link.writable)
    assert await pair.link.metrics("x") == (b"text/plain", b"for x")
    never = asyncio.Event()
    fleet._metrics = lambda _accept: never.wait()
    asked = asyncio.create_task(pair.link.metrics("y"))
    await until(lambda: pair.link._asked)
    fleet.close()
    with pytest.raises(Unavailable):
        await asked
    never.set()


@scenario
async def test_a_control_that_does_not_answer_is_given_up(pair):
    fleet = await pair.control()
    never = asyncio.Event()
    fleet._metrics = lambda _accept: never.wait()
    await until(lambda: pair.link.writable)
    before = link_module.METRICS_SECONDS
    link_module.METRICS_SECONDS = 0.01
    try:
        with pytest.raises(Unavailable):
            await pair.link.metrics("")
    finally:
        link_module.METRICS_SECONDS = before
    for task in fleet._tasks:
        task.cancel()


@scenario
async def test_a_control_that_does_not_read_costs_a_bounded_amount(pair):
    over = asyncio.Event()

    async def stuck(_reader, writer):
        await over.wait()
        writer.transport.abort()

    server = await asyncio.start_unix_server(stuck, pair.path)
    await until(lambda: pair.link.writable)
    sent = sum(pair.link._send(bytes(1 << 20)) for _ in range(30))
    assert 8 <= sent <= 10
    pair.link.report(target=1, steered=1, ready=True, models=[])
    assert pair.link._unsent
    over.set()
    server.close()


@scenario
async def test_a_stranger_on_the_socket_disturbs_nobody(pair):
    fleet = await pair.control()
    for data in (b"GET / HTTP/1.1\r\n\r\n", pack_frame("report", target=1), b"\0\0\0\1\xc1"):
        reader, writer = await asyncio.open_unix_connection(str(pair.path))
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
    pair.link.report(target=7, steered=7, ready=True, models=[])
    assert await fleet.wait_converged(5)


def read(data):
    async def main():
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_frame(reader)

    return asyncio.run(main())


def test_frames_survive_and_their_absence_is_an_end():
    assert read(pack_frame("x", a=[b"1", 2.5])) == {"kind": "x", "a": [b"1", 2.5]}
    assert read(b"") is None
    assert read(pack_frame("x")[:-1]) is None


def test_a_frame_over_the_limit_is_neither_made_nor_read(monkeypatch):
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 100)
    make = partial(pack_frame, "x")
    with pytest.raises(ValueError, match="over 100"):
        make(data=bytes(200))
    with pytest.raises(BadFrame, match="over 100"):
        read(b"\0\0\1\0" + bytes(256))
