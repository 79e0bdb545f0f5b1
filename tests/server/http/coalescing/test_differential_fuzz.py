"""What is remembered of requests changes no answer: same status, same headers, same bytes.

The server that remembers is compared with its twin that does not (`request_caching = false`), which
is asked for each request alone. The corpus is made of families of like requests (`corpus`). The
requests of a family are sent for the first, the second and the hundredth time; alone, in a group
(many connections in one iteration of the event loop), pipelined, and cut at every byte; through the
fast path and through the ASGI front end.

``PENSTOCK_FUZZ_REQUESTS`` is how many requests the server is sent in all, ``PENSTOCK_FUZZ_SEED``
where the seeds begin.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pytest
from corpus import KINDS, TARGETS, family, request
from corpus_json import json_bodies
from twins import Connection, Twins

from penstock.runtimes.datatypes import NUMPY_OF
from penstock.server.codecs import msgpack as codec
from penstock.server.http.coalescing.group import CoalescingGroup
from penstock.server.http.coalescing.raw_template import RawKey
from penstock.server.http.coalescing.text_template import TextTemplate
from penstock.server.rollout.traffic import Split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

REQUESTS = int(os.environ.get("PENSTOCK_FUZZ_REQUESTS", "200000"))
FIRST_SEED = int(os.environ.get("PENSTOCK_FUZZ_SEED", "1"))
SEEDS = 8
WAYS = {"in turn", "in a group", "pipelined", "cut", "cut at every byte", "asgi"}
#: Differences that are shown.
SHOWN = 5


class Fuzz:
    """Sends families of requests, and collects the answers that differ from the plain server's."""

    def __init__(self, twins: Twins, seed: int) -> None:
        self.twins = twins
        self.rng = random.Random(seed)
        self.sent: Counter[str] = Counter()
        self._open: list[Connection] = []
        self.differences: list[tuple[str, bytes, bytes, bytes]] = []
        self.wrong = 0

    async def compare(self, way: str, raws: Sequence[bytes], answers: Sequence[bytes]) -> None:
        self.sent[way] += len(raws)
        for raw, answer in zip(raws, answers, strict=True):
            expected = await self.twins.expected(raw)
            if answer != expected:
                self.wrong += 1
                if len(self.differences) < SHOWN:
                    self.differences.append((way, raw, expected, answer))

    def connect(self) -> Connection:
        """A connection that is open until the end of the round."""
        self._open.append(Connection(self.twins.server))
        return self._open[-1]

    def close(self) -> None:
        while self._open:
            self._open.pop().close()

    async def round(self, kinds: Sequence[str] = KINDS) -> None:
        """One family, in every way."""
        self.close()
        raws = family(self.rng, kinds)
        await self.in_turn(raws, 3)
        for _ in range(4):
            await self.in_batch([self.rng.choice(raws) for _ in range(self.rng.randint(2, 24))])
        for _ in range(2):
            await self.pipelined([self.rng.choice(raws) for _ in range(self.rng.randint(2, 12))])
        await self.cut([self.rng.choice(raws) for _ in range(4)])
        await self.by_asgi([self.rng.choice(raws) for _ in range(2)])
        chance = self.rng.random()
        if chance < 0.02:
            await self.cut_at_every_byte(self.rng.choice(raws))
        elif chance < 0.04:
            await self.in_turn([self.rng.choice(raws)] * 100, 1)
        elif chance < 0.08:
            self.twins.steer("swapped", self.rng.choice([1, 2]))

    async def in_turn(self, raws: Sequence[bytes], times: int) -> None:
        connection = self.connect()
        for _ in range(times):
            for raw in raws:
                connection.send(raw)
                (answers,) = await self.twins.server.exchange([(connection, 1)])
                await self.compare("in turn", [raw], answers)

    async def in_batch(self, raws: Sequence[bytes]) -> None:
        connections = [self.connect() for _ in raws]
        for connection, raw in zip(connections, raws, strict=True):
            connection.send(raw)
        got = await self.twins.server.exchange([(one, 1) for one in connections])
        await self.compare("in a group", raws, [answer for (answer,) in got])

    async def pipelined(self, raws: Sequence[bytes]) -> None:
        connections = [self.connect() for _ in range(2)]
        for connection in connections:
            connection.send(b"".join(raws))
        for answers in await self.twins.server.exchange([(one, len(raws)) for one in connections]):
            await self.compare("pipelined", raws, answers)

    async def cut(self, raws: Sequence[bytes]) -> None:
        connections = [self.connect() for _ in raws]
        for connection, raw in zip(connections, raws, strict=True):
            places = sorted(self.rng.randrange(len(raw)) for _ in range(self.rng.randint(1, 3)))
            ends = [*places, len(raw)]
            connection.send(*[raw[a:b] for a, b in zip([0, *places], ends, strict=True)])
        got = await self.twins.server.exchange([(one, 1) for one in connections])
        await self.compare("cut", raws, [answer for (answer,) in got])

    async def cut_at_every_byte(self, raw: bytes) -> None:
        whole, cut = self.connect(), self.connect()
        for place in range(1, min(len(raw), 600)):
            cut.send(raw[:place])
            whole.send(raw)
            cut.send(raw[place:])
            got = await self.twins.server.exchange([(cut, 1), (whole, 1)])
            await self.compare("cut at every byte", [raw, raw], [answer for (answer,) in got])

    async def by_asgi(self, raws: Sequence[bytes]) -> None:
        for raw in raws:
            answer = await self.twins.server.ask_asgi(raw)
            expected = await self.twins.expected(raw)
            await self.compare("asgi", [raw], [in_order(answer, expected)])

    def report(self) -> str:
        shown = [
            f"{way}: {raw!r:.900}\n  expected {expected!r:.500}\n  got      {answer!r:.500}"
            for way, raw, expected, answer in self.differences
        ]
        return "\n".join([f"{self.wrong} differences in {dict(self.sent)}", *shown])


def in_order(answer: bytes, expected: bytes) -> bytes:
    """The expected answer, if this one has the same status, headers and body in any order."""
    (head, _, body), (other, _, content) = (
        one.partition(b"\r\n\r\n") for one in (answer, expected)
    )
    (status, *lines), (wanted, *others) = (one.split(b"\r\n") for one in (head, other))
    same = body == content and sorted(lines) == sorted(others) and status[:12] == wanted[:12]
    return expected if same else answer


@pytest.fixture(scope="module")
def bench(fuzzed_registry: Path) -> Any:
    """The twins and the loop they run on."""
    with asyncio.Runner() as runner:
        twins = None

        async def start() -> Twins:
            started = Twins(fuzzed_registry)
            await started.start()
            return started

        twins = runner.run(start())
        yield runner, twins
        runner.run(twins.stop())


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + SEEDS))
def test_what_is_remembered_changes_no_answer(bench: Any, seed: int) -> None:
    runner, twins = bench
    fuzz = Fuzz(twins, seed)

    async def run() -> None:
        while fuzz.sent.total() < REQUESTS // SEEDS:
            await fuzz.round()

    runner.run(run())
    assert not fuzz.wrong, fuzz.report()
    assert fuzz.sent.total() >= REQUESTS // SEEDS


def test_the_fuzz_reaches_what_it_is_about(bench: Any) -> None:
    """A corpus that is refused, or that is never coalesced, would show nothing."""
    runner, twins = bench
    fuzz = Fuzz(twins, 77)
    kinds: Counter[bytes] = Counter()
    taken: Counter[str] = Counter()
    port = twins.server.app.engine.port
    take = port.coalescer.try_take

    def watched(writer: Any, data: bytes, now: float) -> Any:
        call = take(writer, data, now)
        form = "none" if call is None else call.head.codec.name
        taken["binary" if call is not None and call.head.json_length is not None else form] += 1
        return call

    compare = fuzz.compare

    async def counting(way: str, raws: Sequence[bytes], answers: Sequence[bytes]) -> None:
        await compare(way, raws, answers)
        kinds.update([answer[9:12] for answer in answers])

    async def run() -> None:
        for _ in range(150):
            await fuzz.round()

    fuzz.compare = counting  # type: ignore[method-assign]
    port.coalescer.try_take = watched
    try:
        runner.run(run())
    finally:
        del port.coalescer.try_take
    assert not fuzz.wrong, fuzz.report()
    assert {way for way, count in fuzz.sent.items() if count > 100} == WAYS
    total = taken.total()
    assert min(taken[form] for form in ("json", "msgpack", "binary")) > 0.02 * total, taken
    assert min(kinds[b"200"], kinds[b"400"]) > 0.3 * kinds.total(), kinds


def test_the_plain_server_remembers_nothing(bench: Any) -> None:
    """With the option off the oracle is the parser and the decoder."""
    runner, twins = bench
    engine = twins.plain.app.engine
    assert engine.port.coalescer is None
    for number in range(3):
        raws = family(random.Random(number))
        for raw in raws * 2:
            runner.run(twins.plain.ask(raw))
    assert not engine.port.head_cache
    versions = [one for model in engine.catalog.models.values() for one in model.versions.values()]
    assert versions
    assert not any(servable.wire.body_templates for servable in versions)


def rows_in_another_order(patch: pytest.MonkeyPatch) -> None:
    """Callers get each other's answers."""
    read_rows = TextTemplate.read_rows

    def turned(self: TextTemplate, texts: list[bytes]) -> Any:
        array = read_rows(self, texts)
        return None if array is None else np.roll(array, 1, 0)

    patch.setattr(TextTemplate, "read_rows", turned)


def what_follows_the_tensor_ignored(patch: pytest.MonkeyPatch) -> None:
    """Callers who want other outputs have one template."""
    template = CoalescingGroup.template

    def loose(self: CoalescingGroup, wire: Any) -> Any:
        for key, known in wire.body_templates.items():
            if isinstance(key, RawKey) and self.key.form[:3] == key[:3]:
                return known
        return template(self, wire)

    patch.setattr(CoalescingGroup, "template", loose)


def lists_taken_for_tensors(patch: pytest.MonkeyPatch) -> None:
    """The place of the tensor is searched for, and bytes that read the same are believed."""

    def search(body: bytes) -> list[tuple[int, int]]:
        entry = msgpack.unpackb(body)["inputs"][0]
        if type(entry["data"]) is not list or entry["datatype"] == "BYTES":
            return []
        raw = np.array(entry["data"], NUMPY_OF[entry["datatype"]]).tobytes()
        place = body.rfind(raw)
        return [] if place < 0 else [(place, place + len(raw))]

    locate = codec.locate
    patch.setattr(codec, "locate", lambda body: locate(body) or search(body))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (rows_in_another_order, "json"),
        (what_follows_the_tensor_ignored, "msgpack"),
        (lists_taken_for_tensors, "msgpack"),
    ],
)
def test_a_fault_that_is_planted_is_found(bench: Any, fault: Any, kind: str) -> None:
    """The fuzz's own test."""
    runner, twins = bench
    fuzz = Fuzz(twins, 78)

    async def run() -> None:
        while not fuzz.wrong and fuzz.sent.total() < 50_000:
            await fuzz.round([kind])

    forget_all(twins)
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        runner.run(run())
    forget_all(twins)
    assert fuzz.wrong


def forget_all(twins: Twins) -> None:
    engine = twins.server.app.engine
    engine.port.forget()
    for model in engine.catalog.models.values():
        for servable in model.versions.values():
            servable.wire.body_templates.clear()


def test_a_version_that_was_swapped_answers_by_its_own_templates(bench: Any) -> None:
    runner, twins = bench
    fuzz = Fuzz(twins, 79)
    targets = [one for one in TARGETS if one.model == "swapped"]

    async def run() -> None:
        for turn in range(30):
            raws = [
                request(target, "json", body, None)
                for target in targets
                for body in json_bodies(random.Random(turn // 3), target)
            ]
            split = Split(f"r{turn}", 2, 50.0, sticky="x-user", fallback=False)
            lines = "x-user: u1\r\n"
            raws += [raw.replace(b"\r\n\r\n", f"\r\n{lines}\r\n".encode(), 1) for raw in raws[:4]]
            twins.steer("swapped", 1 + turn % 2)
            await fuzz.in_turn(raws, 1)
            await fuzz.in_batch(raws)
            twins.steer("swapped", 1, split)
            await fuzz.in_batch([raw for raw in raws if b"x-user" in raw or b"versions" in raw])
        twins.steer("swapped", 1)

    runner.run(run())
    assert not fuzz.wrong, fuzz.report()
