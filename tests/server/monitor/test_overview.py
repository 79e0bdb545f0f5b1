"""The way of drift and labels from the monitor's memory to control, on real sockets."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.states import LEARNING
from penstock.monitoring.drift_summary.summaries import DriftSummaries
from penstock.monitoring.feedback.label_summaries import LabelSummaries
from penstock.server.control.api.monitor_client import MonitorClient
from penstock.server.monitor.monitor_socket import MonitorSocket
from penstock.server.monitor.overview import OVERVIEW, Overview
from penstock.server.processes.private_socket import listen_privately


class Monitor:
    """The monitor's end, which counts the questions."""

    def __init__(self, path):
        self.drift = DriftSummaries(lambda _: DriftOptions())
        self.overview = Overview(self.drift, LabelSummaries())
        self.asked = 0
        self.socket = MonitorSocket({OVERVIEW: self.serve})
        self.path = path

    async def serve(self, first, reader, writer):
        self.asked += 1
        await self.overview.serve(first, reader, writer)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s"


def test_what_has_changed_is_told_with_the_next_tick(path):
    async def main():
        monitor = Monitor(path)
        await monitor.socket.listen(path)
        client = MonitorClient(path, 60.0, kept_seconds=0.0)
        with closing(monitor.socket):
            assert (await client.ask()).drift == {}
            monitor.drift.learnt("m", "1", more=True)
            monitor.overview.tick(0.0)
            found = await client.ask()
            assert {key: one.state for key, one in found.drift.items()} == {("m", "1"): LEARNING}
            assert (found.labels, found.drift_watched, found.problem) == ({}, True, "")

    asyncio.run(main())


def test_everybody_who_looks_shares_one_question(path):
    async def main():
        monitor = Monitor(path)
        await monitor.socket.listen(path)
        client = MonitorClient(path, 60.0, kept_seconds=3600.0)
        with closing(monitor.socket):
            found = await asyncio.gather(*(client.ask() for _ in range(50)))
            assert len(set(map(id, found))) == 1
            assert monitor.asked == 1

    asyncio.run(main())


def test_a_monitor_that_is_away_or_came_back_is_told_so(path):
    async def main():
        client = MonitorClient(path, 60.0, kept_seconds=0.0)
        assert (await client.ask()).problem == "the monitor is away"
        monitor = Monitor(path)
        await monitor.socket.listen(path)
        with closing(monitor.socket):
            assert (await client.ask()).problem == ""
        assert (await client.ask()).problem == "the monitor is away"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (None, "the monitor does not answer"),
        (b"", "the monitor hung up"),
        (b"\0\0\0\1x", "the monitor speaks another language"),
        (b"\0\0\0\x0f\x81\xa4kind\xa8overview", "the monitor speaks another language"),
    ],
)
def test_a_monitor_that_gives_no_answer_holds_nobody_up(answer, problem, path):
    async def main():
        over = asyncio.Event()

        async def serve(_, writer):
            if answer is None:
                await over.wait()
            writer.write(answer or b"")
            writer.close()

        server = await listen_privately(serve, path)
        client = MonitorClient(path, 0.05 if answer is None else 60.0)
        assert (await client.ask()).problem.startswith(problem)
        over.set()
        server.close()

    asyncio.run(main())
