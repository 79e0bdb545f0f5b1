"""Lines for a reader that may not read: nobody waits for it."""

from __future__ import annotations

import os
import socket

import pytest

from penstock.server.processes.nonblocking_output import NonBlockingOutput


def pipe():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    return reading, writing


def stream():
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    return ours.detach(), theirs.detach()


def everything(descriptor):
    content = b""
    try:
        while piece := os.read(descriptor, 1 << 16):
            content += piece
    except BlockingIOError:
        pass
    return content


@pytest.mark.parametrize("ends", [pipe, stream])
def test_what_finds_no_room_is_dropped_and_told_of(ends):
    reading, writing = ends()
    output = NonBlockingOutput(writing)

    def write(text):
        output.write_line(text.ljust(4000), lambda count: f"{count} lost".ljust(4000))

    write("first")
    while not output.dropped:
        write("more")
    write("lost")
    assert output.dropped == 2
    assert everything(reading).startswith(b"first ")
    write("last")
    assert everything(reading).split() == [b"2", b"lost", b"last"]
    assert output.dropped == 0
    assert os.get_blocking(writing), "others who share it wait as before"
    os.close(reading)
    write("nobody is there")
    assert output.dropped == 1
    os.close(writing)


def test_a_file_is_continued(tmp_path):
    path = tmp_path / "log"
    path.write_text("before\n")
    with path.open("a") as file:
        NonBlockingOutput(file.fileno()).write_line("after", str)
    assert path.read_text() == "before\nafter\n"
