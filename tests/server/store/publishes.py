"""Many publishes to one store beside readers that follow it, with pushes that are killed."""

from __future__ import annotations

import hashlib
import io
import random
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise

from penstock.server.registry.manifest import Manifest, parse_manifest
from penstock.server.registry.verification import hash_files
from penstock.server.store.index_reader import read_index
from penstock.server.store.layout import version_path
from penstock.server.store.object_store import ObjectStore
from penstock.server.store.publish import Publisher
from penstock.server.store.replica import Replica
from penstock.server.store.store_error import StoreError

MODEL = "m"


class Killed(BaseException):
    """The end of a process that publishes."""


class Mortal(ObjectStore):
    """A store whose user is killed before one of its requests; never, if that is 0."""

    def __init__(self, store, requests):
        super().__init__(store.url, store._client)
        self.left = requests

    def _live(self):
        self.left -= 1
        if self.left == 0:
            raise Killed

    def read(self, *arguments):
        self._live()
        return super().read(*arguments)

    def write(self, *arguments):
        self._live()
        super().write(*arguments)

    def upload(self, *arguments):
        self._live()
        super().upload(*arguments)


@dataclass
class Poll:
    """One successful poll of a reader."""

    began: float
    ended: float
    shown: frozenset[int]


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        published: Version -> when its publish returned.
        killed: Pushes that were killed.
        failed: Pushes that the store failed.
        polls: The successful polls of each reader, in order.
        problems: Versions that a reader saw and that were not whole.
    """

    published: dict[int, float] = field(default_factory=dict)
    killed: int = 0
    failed: int = 0
    polls: list[list[Poll]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def delays(self):
        """Seconds from the return of a publish to the end of the first poll that shows it."""
        return sorted(
            max(0.0, next(one.ended for one in polls if version in one.shown) - at)
            for polls in self.polls
            for version, at in self.published.items()
        )

    def check(self, store):
        """Nothing is lost, half or late."""
        assert self.problems == []
        final = read_index(store)[0].of(MODEL)
        assert set(self.published) <= set(final), "none is lost"
        for polls in self.polls:
            assert polls
            for before, after in pairwise(polls):
                assert before.shown <= after.shown, "what was seen stays"
            for one in polls:
                due = {version for version, at in self.published.items() if at <= one.began}
                assert due <= one.shown, "a poll shows all that was published before it began"


class Run:
    """Two threads publish beside three readers.

    Args:
        open_store: Gives a store of its own to each thread.
        tmp_path: For files.
        count: Publishes that are begun.
        seed: Of sizes and kills.
        poll_seconds: Between two polls of a reader.
        kill: Share of the pushes that are killed.
    """

    def __init__(self, open_store, tmp_path, *, count, seed, poll_seconds, kill=0.1):
        chance = random.Random(seed)
        self.open_store = open_store
        self.tmp_path = tmp_path
        self.poll_seconds = poll_seconds
        self.outcome, self.over = Outcome(), threading.Event()
        sizes = [chance.randrange(1, 3000) for _ in range(count)]
        self.pushes = [(number, chance.randbytes(size)) for number, size in enumerate(sizes)]
        self.killed = {
            number: chance.randrange(1, 8) for number in range(count) if chance.random() < kill
        }
        self.lock = threading.Lock()

    def run(self):
        """The outcome, when all readers have seen the end."""
        self.outcome.polls = [[] for _ in range(3)]
        writers = [threading.Thread(target=self.write, args=(part,)) for part in range(2)]
        readers = [
            threading.Thread(target=self.follow, args=(name, polls))
            for name, polls in enumerate(self.outcome.polls)
        ]
        for one in (*readers, *writers):
            one.start()
        for one in writers:
            one.join()
        self.over.set()
        for one in readers:
            one.join(120)
        return self.outcome

    def write(self, part):
        for number, content in self.pushes[part::2]:
            directory = self.tmp_path / f"push-{number}"
            directory.mkdir()
            (directory / "weights").write_bytes(content)
            (directory / "labels").write_bytes(b"l")
            store = Mortal(self.open_store(), self.killed.get(number, 0))
            manifest = Manifest(MODEL, 1, hash_files(directory))
            try:
                done = Publisher(store, f"push-{number}").publish(directory, manifest, None)
            except Killed:
                with self.lock:
                    self.outcome.killed += 1
            except StoreError:
                with self.lock:
                    self.outcome.failed += 1
            else:
                with self.lock:
                    self.outcome.published[done.version] = time.monotonic()

    def follow(self, name, polls):
        store, place = self.open_store(), self.tmp_path / f"reader-{name}"
        replica, seen = Replica(store, place), frozenset()
        while True:
            last, began = self.over.is_set(), time.monotonic()
            try:
                replica.poll()
            except StoreError:
                self.over.wait(0.05)
                continue
            shown = frozenset(int(one.name) for one in place.glob(f"{MODEL}/[0-9]*"))
            if not replica.problems():
                polls.append(Poll(began, time.monotonic(), shown))
                if last:
                    return
            for version in sorted(shown - seen):
                self.check_files(store, place, version)
            seen = shown
            self.over.wait(max(0.0, self.poll_seconds - (time.monotonic() - began)))

    def check_files(self, store, place, version):
        file = place / version_path(MODEL, version, "manifest.json")
        for entry in parse_manifest(file.read_bytes()).files:
            sha256 = downloaded(store, version_path(MODEL, version, entry.path), entry.size)
            if sha256 != entry.sha256:
                self.outcome.problems.append(f"version {version}: {entry.path} is {sha256}")


def downloaded(store, path, size):
    """The hash of an object, in spite of faults of the store."""
    while True:
        target = io.BytesIO()
        try:
            store.download(path, target, size)
        except StoreError as error:
            if " is not there" in str(error):
                return "not there"
        else:
            return hashlib.sha256(target.getvalue()).hexdigest()
