"""uvicorn's server as we run it: quiet, dated, and drained to the last connection."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import uvicorn

from penstock.server.processes.http_server import HttpServer


async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


class Serving:
    """A server on a free port of this process."""

    def __init__(self):
        self.late = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none", access_log=False)
        self.server = HttpServer(config, self.late.append)

    async def __aenter__(self):
        self.task = asyncio.create_task(self.server.serve(sockets=[self.listener]))
        while not self.server.started:  # noqa: ASYNC110  uvicorn has no event for it
            await asyncio.sleep(0.001)
        return self

    async def __aexit__(self, *_):
        self.server.stop()
        async with asyncio.timeout(60):
            await self.task


def run(body):
    async def main():
        async with asyncio.timeout(60), Serving() as serving:
            await body(serving)

    asyncio.run(main())


async def get(serving):
    port = serving.listener.getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    return head, reader, writer


def test_the_date_is_there_from_the_first_answer_on_and_lateness_is_told():
    async def body(serving):
        head, _, writer = await get(serving)
        assert b"\r\ndate: " in head
        assert serving.late
        writer.close()

    run(body)


def test_the_date_is_renewed_every_second():
    async def body(serving):
        first = serving.server.server_state.default_headers
        while serving.server.server_state.default_headers is first:  # noqa: ASYNC110  a header has no event
            await asyncio.sleep(0.01)
        assert len(serving.late) == 2

    run(body)


def test_a_termination_signal_stops_it():
    async def body(serving):
        os.kill(os.getpid(), signal.SIGTERM)
        await serving.server.stopping.wait()

    run(body)


def test_a_connection_made_after_the_drain_began_is_drained_too():
    class Newcomer:
        def shutdown(self):
            state.connections.discard(self)

    async def body(serving):
        nonlocal state
        state = serving.server.server_state
        close = serving.server.servers[0].close

        def close_late():
            close()
            # What an accept that was under way does, once uvicorn has told who was there.
            loop.call_soon(state.connections.add, Newcomer())

        loop = asyncio.get_running_loop()
        serving.server.servers[0].close = close_late

    state = None
    run(body)
    assert not state.connections


def test_idle_connections_do_not_hold_the_stop_up():
    async def body(serving):
        _, reader, writer = await get(serving)
        serving.server.stop()
        assert await reader.read() == b""
        writer.close()

    run(body)


def test_an_error_in_one_second_ends_neither_date_nor_lateness():
    async def body(serving):
        told = asyncio.Queue()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.put_nowait(context["exception"]))

        def fail(late):
            raise ArithmeticError

        serving.server._on_second = fail
        dates = set()
        for _ in range(2):
            assert isinstance(await told.get(), ArithmeticError)
            dates.add(serving.server.server_state.default_headers[0])
        assert len(dates) == 2
        serving.late.clear()
        serving.server._on_second = serving.late.append
        while not serving.late:  # noqa: ASYNC110  the second has no event
            await asyncio.sleep(0.01)

    run(body)
