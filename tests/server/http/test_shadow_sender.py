import socket
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.batching.request import Batch, InferenceRequest
from penstock.monitoring.metrics import layout
from penstock.monitoring.metrics.merge import snapshot
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.server.inference.call import Call
from penstock.server.inference.shadow_sender import (
    MAX_WAITING_BYTES,
    MAX_WAITING_ROWS,
    ShadowSender,
)
from penstock.server.shadow_copies.batches import decode
from penstock.server.shadow_copies.envelope import MAX_BATCH_BYTES


def batch_of(rows, width=4, requests=1):
    """A batch that ran, and its callers."""
    array = np.zeros((rows * requests, width), np.float32)
    parts = [
        InferenceRequest([array[i * rows : (i + 1) * rows]], rows, ("y",), 0.0)
        for i in range(requests)
    ]
    batch = Batch(parts, 0.0)
    batch.inputs, batch.outputs = [array], [array]
    calls = []
    for number in range(requests):
        call = Call(None, None, 0.0)
        call.request_id = b"%d" % number
        calls.append(call)
    return calls, batch.offsets, ("x",), batch


class Peer:
    """The shadow's end, and the feed that sends to it."""

    def __init__(self, place, share=1.0, chance=lambda: 0.5):
        self.path = Path(place) / "shadow.sock"
        self.counters = CounterFile.anonymous()
        self.feed = ShadowSender(
            "r", share, self.counters.model("m", "2"), self.path, self.report, chance
        )
        self.listener = None
        self.link = None
        self.bytes = b""
        self.arrived = self.arrived_rows = 0

    @staticmethod
    def report(feed, requests, rows):
        feed.dropped(requests, rows)

    def listen(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.settimeout(0)
        self.listener.bind(str(self.path))
        self.listener.listen()

    def read(self, size=1 << 20):
        with suppress(BlockingIOError, ConnectionError):
            if self.link is None:
                self.link, _ = self.listener.accept()
                self.link.settimeout(0)
                assert self.link.recv(3) == b"\x00\x01r"
            while data := self.link.recv(size):
                self.bytes += data
            self.count()
            self.hang_up()
        self.count()

    def count(self):
        """Requests of the complete envelopes that have arrived."""
        data = self.bytes
        while len(data) >= 10:
            length, count = int.from_bytes(data[:4]), int.from_bytes(data[4:6])
            end = 10 + 8 * count + length
            if len(data) < end:
                break
            sizes = np.frombuffer(data[10 : 10 + 8 * count], ">u4").reshape(-1, 2)
            batches = decode(memoryview(bytearray(data[10 + 8 * count : end])))
            assert [[len(one.request_ids), one.rows] for one in batches] == sizes.tolist()
            self.arrived += int(sizes[:, 0].sum())
            self.arrived_rows += int(sizes[:, 1].sum())
            data = data[end:]
        self.bytes = data

    def hang_up(self):
        if self.link is not None:
            self.link.close()
            self.link = None
            self.bytes = b""

    def close(self):
        self.feed.hang_up()
        self.hang_up()
        if self.listener is not None:
            self.listener.close()

    def counted(self, slot):
        return snapshot(self.counters).blocks["m", "2"][slot]

    @property
    def copied(self):
        return self.counted(layout.SHADOW_COPIED)

    @property
    def dropped(self):
        return self.counted(layout.SHADOW_DROPPED)


@pytest.fixture
def peer():
    with tempfile.TemporaryDirectory() as place:
        one = Peer(place)
        yield one
        one.close()


def test_what_is_offered_arrives(peer):
    peer.listen()
    for requests in (1, 3, 2):
        peer.feed.offer(*batch_of(2, requests=requests))
    assert peer.feed.waiting
    peer.feed.turn()
    peer.read()
    assert not peer.feed.waiting
    assert (peer.copied, peer.arrived, peer.arrived_rows, peer.dropped) == (6, 6, 12, 0)


def test_without_a_shadow_everything_is_dropped_and_counted(peer):
    for _ in range(5):
        peer.feed.offer(*batch_of(3))
    peer.feed.turn()
    assert (peer.copied, peer.dropped, peer.counted(layout.SHADOW_DROPPED_ROWS)) == (5, 5, 15)
    assert not peer.feed.waiting


def test_a_shadow_that_comes_later_is_found(peer):
    peer.feed.offer(*batch_of(1))
    peer.feed.turn()
    peer.listen()
    for _ in range(20):
        peer.feed.offer(*batch_of(1))
        peer.feed.turn()
    peer.read()
    assert peer.arrived == peer.copied - peer.dropped > 0


def test_pictures_are_bounded_by_bytes_and_many_small_batches_by_rows(peer):
    peer.listen()  # and nobody reads
    picture = batch_of(1, width=150_528, requests=4)
    size = 2 * picture[3].inputs[0].nbytes
    most = 0
    for _ in range(40):
        peer.feed.offer(*picture)
        peer.feed.turn()
        most = max(most, peer.feed._bytes_in - peer.feed._bytes_out)
    assert most < MAX_WAITING_BYTES + size
    assert peer.dropped > 0
    peer.feed.hang_up()
    peer.feed._turns_to_wait = 0
    for _ in range(20):
        peer.feed.offer(*batch_of(1000, width=1))
    assert peer.feed._rows_in - peer.feed._rows_out < MAX_WAITING_ROWS + 1000


def test_a_batch_that_is_much_too_large_is_dropped(peer, monkeypatch):
    calls, offsets, names, batch = batch_of(2)
    huge = np.broadcast_to(np.zeros(1, np.uint8), (2, MAX_BATCH_BYTES))
    batch.inputs = [huge]
    peer.feed.offer(calls, offsets, names, batch)
    assert (peer.copied, peer.dropped) == (1, 1)
    assert not peer.feed.waiting


def test_a_request_that_ran_in_parts_is_dropped_and_counted(peer):
    calls, offsets, names, batch = batch_of(2)
    batch.inputs = ()
    peer.feed.offer(calls, offsets, names, batch)
    assert (peer.copied, peer.dropped) == (1, 1)


def test_whole_batches_are_chosen_by_chance_alone():
    with tempfile.TemporaryDirectory() as place:
        dice = np.random.default_rng(1)
        peer = Peer(place, share=0.25, chance=dice.random)
        for _ in range(4000):
            peer.feed.offer(*batch_of(1, requests=1 + _ % 3))
        # 8000 requests in batches of 1 to 3: 5 standard deviations are 0.9 %.
        assert abs(peer.copied / 7999 - 0.25) < 0.04
        peer.close()


def test_when_the_shadow_wants_no_more_the_rest_is_dropped(peer):
    peer.listen()
    peer.feed.offer(*batch_of(1))
    peer.feed.turn()
    peer.read()
    peer.link.send(b"-")
    peer.feed.offer(*batch_of(1))
    peer.feed.turn()
    peer.feed.offer(*batch_of(1))
    peer.feed.turn()
    peer.read()
    assert peer.copied == peer.arrived + peer.dropped + 1  # one waits for the next attempt
    assert not peer.feed.waiting


OPERATIONS = st.lists(
    st.sampled_from(["offer", "offer", "offer", "picture", "turn", "turn", "read", "end"]),
    min_size=5,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(OPERATIONS)
def test_every_request_arrives_waits_or_is_dropped(operations):
    with tempfile.TemporaryDirectory() as place:
        peer = Peer(place)
        peer.listen()
        offered = 0
        for operation in operations:
            if operation == "offer":
                peer.feed.offer(*batch_of(2, requests=3))
                offered += 3
            elif operation == "picture":
                peer.feed.offer(*batch_of(1, width=150_528))
                offered += 1
            elif operation == "turn":
                peer.feed.turn()
            elif operation == "read":
                peer.read()
            else:
                peer.hang_up()
            outgoing = peer.feed._outgoing
            waiting = sum(len(one.request_ids) for one in peer.feed._waiting)
            waiting += 0 if outgoing is None else outgoing.requests
            assert peer.copied == offered
            assert peer.arrived + peer.dropped + waiting <= offered
        peer.feed.hang_up()
        peer.read()
        lost = offered - peer.dropped - peer.arrived  # on the way when the peer ended
        assert lost == 0 if "end" not in operations else lost >= 0
        peer.close()


def test_descriptors_are_given_back(peer):
    peer.listen()
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        peer.feed.offer(*batch_of(1))
        peer.feed.turn()
        peer.read()
        peer.feed.hang_up()
        peer.hang_up()
    assert len(set(Path("/proc/self/fd").iterdir())) == len(before)
