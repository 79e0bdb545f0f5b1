"""The way of a body of labels from a worker to the monitor's disk, on real sockets."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import msgpack
import pytest

from penstock.monitoring.feedback.options import FeedbackOptions
from penstock.monitoring.feedback.store import FeedbackStore
from penstock.monitoring.mended import Mended
from penstock.server.errors import InvalidRequest, Unavailable
from penstock.server.monitor.feedback_endpoint import FeedbackEndpoint
from penstock.server.monitor.feedback_service import FeedbackService
from penstock.server.monitor.monitor_socket import MonitorSocket
from penstock.server.worker.feedback_client import MAX_WAITING, FeedbackClient

NOW = 1_700_000_000.0


@pytest.fixture
def store(tmp_path):
    def make():
        return FeedbackStore(tmp_path, lambda *_: FeedbackOptions(), lambda *_: None, 10_000, 1.0)

    kept = Mended(make, tmp_path / "truth.db", lambda: NOW)
    yield kept
    kept.close()


async def ended(socket):
    """Wait until every worker has hung up."""
    if socket._connected:
        await asyncio.wait(set(socket._connected), timeout=60)


def converse(tmp_path, store, work):
    """Run `work(worker_end, monitor_socket)` with both ends connected."""

    async def main():
        thread = ThreadPoolExecutor(1)
        end = FeedbackEndpoint(FeedbackService(store, lambda: NOW), thread)
        socket = MonitorSocket({"feedback": end.serve})
        await socket.listen(tmp_path / "s")
        worker = FeedbackClient(tmp_path / "s", 60.0)
        try:
            await work(worker, socket)
        finally:
            await worker.close()
            socket.close()
            await ended(socket)
            thread.shutdown()

    asyncio.run(main())


def body(*ids, **more):
    return json.dumps([{"request_id": one, "label": 1, **more} for one in ids]).encode()


def rows(tmp_path):
    with sqlite3.connect(tmp_path / "truth.db") as database:
        return database.execute("SELECT request_id FROM labels ORDER BY number").fetchall()


def test_what_was_answered_is_on_the_disk(tmp_path, store):
    async def work(worker, _):
        assert await worker.hand_over(body("a", "b"), packed=False) == {"accepted": 2, "new": 2}
        assert rows(tmp_path) == [("a",), ("b",)]
        packed = msgpack.packb({"inference_id": "b", "label": 1})
        found = await worker.hand_over(packed, packed=True)
        assert found == {"accepted": 1, "duplicate": 1}
        assert await worker.hand_over(b"[]", packed=False) == {"accepted": 0}

    converse(tmp_path, store, work)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not JSON"),
        (body("a", "b", index=-1), r"labels\[0\]: index is -1"),
        (b'{"label":1}', "^expected request_id"),
        (body(*"a" * 10_001), r"10001 labels at once, expected at most 10000"),
    ],
)
def test_nothing_is_kept_of_a_body_with_a_mistake(content, said, tmp_path, store):
    async def work(worker, _):
        with pytest.raises(InvalidRequest, match=said):
            await worker.hand_over(content, packed=False)
        assert rows(tmp_path) == []

    converse(tmp_path, store, work)


def test_without_a_monitor_the_client_is_told_to_come_back(tmp_path, store):
    async def work(worker, socket):
        await worker.hand_over(body("a"), packed=False)
        socket.close()
        await ended(socket)
        (tmp_path / "s").unlink(missing_ok=True)
        with pytest.raises(Unavailable) as caught:
            await worker.hand_over(body("b"), packed=False)
        assert (b"retry-after", b"1") in caught.value.headers

    converse(tmp_path, store, work)


def test_a_monitor_that_does_not_answer_is_waited_for_so_long_only(tmp_path):
    over = asyncio.Event()

    async def silent(_, writer):
        await over.wait()
        writer.close()

    async def main():
        server = await asyncio.start_unix_server(silent, tmp_path / "s")
        worker = FeedbackClient(tmp_path / "s", 0.2)
        asked = [worker.hand_over(body("a"), packed=False) for _ in range(MAX_WAITING + 3)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(one, Unavailable) for one in found)
        assert sum("on their way" in one.message for one in found) == 3
        over.set()
        await worker.close()
        server.close()
        await server.wait_closed()

    asyncio.run(main())


def test_a_disk_that_is_full_is_no_loss(tmp_path, store):
    async def work(worker, _):
        execute = store.use(lambda one: one._connection).execute
        pages = execute("PRAGMA page_count").fetchone()[0]
        execute(f"PRAGMA max_page_count = {pages}")
        many = body(*(f"{number:0100d}" for number in range(5000)))
        with pytest.raises(Unavailable, match="full"):
            await worker.hand_over(many, packed=False)
        assert rows(tmp_path) == []
        execute("PRAGMA max_page_count = 1000000")
        assert (await worker.hand_over(many, packed=False))["new"] == 5000

    converse(tmp_path, store, work)


def test_a_server_without_a_monitor_says_so(live_server, examples_registry):
    for frontend in ("fast", "asgi"):
        with live_server(examples_registry, frontend) as server:
            request = b"POST /v1/feedback HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n%b\r\n[]"
            answer = server.ask(request % b"content-type: application/json\r\n")
            assert (answer.status, answer.headers["x-error-code"]) == (503, "unavailable")
            for line in (b"", b"content-type: text/plain\r\n", b"content-type:\r\n"):
                answer = server.ask(request % line)
                assert (answer.status, answer.headers["x-error-code"]) == (
                    415,
                    "unsupported_media_type",
                )
            large = (
                b"POST /v1/feedback HTTP/1.1\r\nhost: x\r\n"
                b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
            )
            server.app.feedback.hand_over = lambda *_, **__: None
            answer = server.ask(large % (5 << 20) + b" " * (5 << 20))
            assert answer.status == 413
