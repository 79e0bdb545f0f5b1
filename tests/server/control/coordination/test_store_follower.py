"""A store that is down for ten minutes: how often it is asked, and what the status says. Simulated.

`tests/server/processes/test_store_serving.py` has a real store that is down for seconds.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from obstore.store import MemoryStore

from penstock.server.config.store_url import parse_store_url
from penstock.server.control.coordination.store_follower import StoreFollower
from penstock.server.registry.manifest import Manifest
from penstock.server.registry.verification import hash_files
from penstock.server.store.object_store import ObjectStore
from penstock.server.store.publish import Publisher
from penstock.server.store.replica import Replica
from penstock.server.store.store_error import StoreError

URL = "s3://models/registry"
START = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
OUTAGE_SECONDS = 600.0
LONGEST_SECONDS = 15.0


class Store(ObjectStore):
    """A store in this process that can be down."""

    down = False

    def _read(self, path, known):
        if self.down:
            raise StoreError(f"{URL}: cannot read {path}: the store cannot be reached")
        return super()._read(path, known)


class World:
    """A store, a server that follows it, and a clock that goes on when the server waits."""

    def __init__(self, tmp_path, poll_seconds=1.0, *, chance=1.0):
        self.store = Store(parse_store_url(URL), MemoryStore(), lambda _: None)
        self.place, self.draft = tmp_path / "registry", tmp_path / "draft"
        self.draft.mkdir()
        self.poll_seconds, self.chance = poll_seconds, chance
        self.now = START
        self.waits = []
        self.changes = 0
        self.start()

    def start(self):
        replica = Replica(self.store, self.place, lambda: self.now)
        self.follower = StoreFollower(
            replica, URL, self.poll_seconds,
            clock=lambda: self.now, sleep=self.wait, chance=lambda: self.chance,
        )  # fmt: skip
        self.follower.on_change = self.changed

    def changed(self):
        self.changes += 1

    def push(self):
        (self.draft / "weights").write_bytes(b"w")
        publisher = Publisher(self.store, str(self.now), sleep=lambda _: None)
        return publisher.publish(self.draft, Manifest("m", 1, hash_files(self.draft)), None).version

    async def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds
        if self.now >= self.end:
            raise asyncio.CancelledError

    def live(self, seconds):
        """Follow for so long; the pauses between two polls."""
        self.end, self.waits = self.now + seconds, []
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(self.follower.run())
        return self.waits

    def told(self):
        """What the status says of the store; empty if nothing."""
        return next((one["reason"] for one in self.follower.problems() if one["path"] == URL), "")

    @property
    def shown(self):
        return sorted(int(one.name) for one in self.place.glob("m/[0-9]*"))


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.push()
    made.live(3)
    assert (made.shown, made.told()) == ([1], "")
    return made


def test_pauses_double_to_fifteen_seconds_and_the_status_says_since_when(world):
    world.store.down = True
    world.live(1)
    began = datetime.fromtimestamp(START + 3, UTC).isoformat(timespec="seconds")
    for _ in range(10):
        assert world.told() == (
            f"fails since {began}: {URL}: cannot read penstock-index.json: the store cannot be "
            "reached; what was fetched before is served"
        )
        waits = world.live(OUTAGE_SECONDS / 10)
        assert all(one <= LONGEST_SECONDS for one in waits)
    assert (world.shown, world.changes) == ([1], 1)


def test_ten_minutes_without_a_store_cost_few_polls(world):
    world.store.down = True
    waits = world.live(OUTAGE_SECONDS)
    assert waits[:5] == [1.0, 2.0, 4.0, 8.0, 15.0]
    assert set(waits[5:]) == {LONGEST_SECONDS}
    assert len(waits) == 43


def test_pauses_of_servers_differ_by_a_fifth_at_most(tmp_path):
    world = World(tmp_path, chance=0.0)
    world.store.down = True
    assert world.live(OUTAGE_SECONDS)[:5] == [0.8, 1.6, 3.2, 6.4, 12.0]


def test_a_long_poll_stays_as_long(tmp_path):
    world = World(tmp_path, 60.0)
    world.store.down = True
    assert set(world.live(OUTAGE_SECONDS)) == {60.0}


def test_a_store_that_is_back_is_caught_up_with_within_one_pause(world):
    world.store.down = True
    world.live(OUTAGE_SECONDS)
    world.store.down = False
    world.push()
    back = world.now
    world.live(LONGEST_SECONDS)
    assert (world.shown, world.told()) == ([1, 2], "")
    assert world.now - back <= LONGEST_SECONDS + world.poll_seconds
    assert set(world.waits) == {world.poll_seconds}, "the usual pauses again"


def test_a_server_that_starts_while_the_store_is_down_serves_what_it_has(world):
    world.store.down = True
    world.start()
    assert world.follower.known.is_set()
    world.live(OUTAGE_SECONDS)
    assert world.shown == [1]
    assert "what was fetched before is served" in world.told()


def test_a_first_start_while_the_store_is_down_waits_and_says_so(tmp_path):
    world = World(tmp_path)
    world.store.down = True
    world.live(OUTAGE_SECONDS)
    assert not world.follower.known.is_set()
    assert world.told().endswith("the store cannot be reached")
    world.store.down = False
    world.push()
    world.live(2 * LONGEST_SECONDS)
    assert world.follower.known.is_set()
    assert (world.shown, world.told()) == ([1], "")
