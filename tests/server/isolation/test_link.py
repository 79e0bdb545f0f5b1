"""Messages between a process and a child of it."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from penstock.server.isolation import link as module
from penstock.server.isolation.link import Link, LinkEnded


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    pair = Link(ours), Link(theirs, takes_files=True)
    yield pair
    for one in pair:
        one.close()


def test_messages_of_any_size_come_as_they_were_sent_and_in_order(ends):
    ours, theirs = ends
    sent = [(1, b""), (2, b"x"), (3, os.urandom(3_000_000)), (255, b"last")]
    sending = threading.Thread(target=lambda: [ours.send(*one) for one in sent])
    sending.start()
    assert [theirs.expect() for _ in sent] == sent
    sending.join()


def test_small_messages_that_are_read_together_are_told_apart(ends):
    ours, theirs = ends
    sent = [(number, b"m" * number) for number in range(1, 50)]
    for one in sent:
        ours.send(*one)
    assert [theirs.expect() for _ in sent] == sent


def test_only_the_end_that_asks_for_files_gets_them(ends):
    ours, theirs = ends
    reading, writing = os.pipe()
    ours.send(1, b"beside", writing)
    theirs.send(1, b"beside", writing)
    os.close(writing)
    assert theirs.expect() == (1, b"beside")
    assert ours.expect() == (1, b"beside")
    assert (len(theirs.files), ours.files) == (1, [])
    os.write(theirs.files[0], b"hello")
    assert os.read(reading, 5) == b"hello"
    theirs.close()
    assert os.read(reading, 5) == b""  # there is no other descriptor of it
    os.close(reading)


def test_waiting_comes_back_and_an_end_is_told(ends):
    ours, theirs = ends
    theirs.wake_every(0.01)
    assert theirs.receive() is None
    rest = theirs.send(1, bytes(10_000_000))  # nobody reads
    assert 0 < len(rest) < 10_000_000
    assert theirs.send_rest(rest) == rest
    ours.close()
    with pytest.raises(LinkEnded):
        theirs.send(1, b"x")
    with pytest.raises(LinkEnded):
        theirs.expect()


@pytest.mark.parametrize("data", [b"\0", b"\xff\xff\xff\x7f\0", bytes((200, 0, 0, 0, 1))])
def test_what_is_no_message_is_an_end(data, monkeypatch):
    monkeypatch.setattr(module, "MAX_MESSAGE_BYTES", 1000)
    ours, theirs = socket.socketpair()
    ours.sendall(data)
    ours.shutdown(socket.SHUT_WR)
    link = Link(theirs)
    with pytest.raises(LinkEnded):
        link.expect()
    link.close()
    ours.close()
