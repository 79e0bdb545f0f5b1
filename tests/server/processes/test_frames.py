"""Frames between the processes of a server."""

from __future__ import annotations

import asyncio

import pytest

from penstock.server.processes import frames
from penstock.server.processes.frames import BadFrame, pack_frame, read_frame


def received(data: bytes) -> object:
    async def read() -> object:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_frame(reader)

    return asyncio.run(read())


def test_a_frame_comes_as_it_was_sent():
    frame = pack_frame("batches", content=bytes(300_000), deep={"a": [1, 2.5, None, b"x"]})
    expected = {"content": bytes(300_000), "deep": {"a": [1, 2.5, None, b"x"]}}
    assert received(frame) == {"kind": "batches", **expected}


@pytest.mark.parametrize("data", [b"", b"\0", pack_frame("x")[:-1]])
def test_a_stream_that_ends_early_is_an_end(data):
    assert received(data) is None


@pytest.mark.parametrize(
    "body", [b"\xc1", b"\x01", b"\x80", b"\x81\xa4kind\x01", b"\x81\x01\x02", b"\x91" * 5000]
)
def test_what_is_no_frame_is_refused(body):
    with pytest.raises(BadFrame):
        received(len(body).to_bytes(4, "big") + body)


def test_a_frame_over_the_limit_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 100)
    with pytest.raises(BadFrame, match="a frame of 256 bytes is over 100"):
        received(b"\0\0\1\0")
