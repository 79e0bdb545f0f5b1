from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.runtimes.contract import Signature, TensorSpec
from penstock.server.http.codecs import json as json_codec
from penstock.server.http.codecs import known_bodies
from penstock.server.http.codecs.signature import WireSignature
from penstock.server.http.company import LONGEST_SECONDS
from penstock.server.http.head import read_head
from penstock.server.http.lanes import MAX_PATTERNS, Lanes

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: x\r\n\r\n"
OPENING = b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":'
CLOSING = b"}]}"
DOOR: Any = object()
TEXTS = ["1", "-2.5", "1e3", "1e39", "true", "null", '"7"', "[1]", "{}", "", " 4 ", "NaN", "9" * 30]


class Recorder:
    """A service that remembers what it was given, and a loop that does nothing by itself."""

    def __init__(self) -> None:
        spec = TensorSpec("x", "FP32", (-1, 3))
        self.signature = WireSignature(Signature((spec,), (spec,), batch_axis=True), "m", "1")
        self.served: list[Any] = []
        self.soon: list[Callable[[], None]] = []
        self.dispatched = 0
        self.inline = True

    def wire(self, head: Any) -> WireSignature:
        return self.signature

    def serve(self, gathered: list[Any]) -> None:
        self.served += gathered
        self.dispatched += 1
        for alike in gathered:
            alike.lane.inline = self.inline

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)


def request(numbers: str, closing: bytes = CLOSING, space: bytes = b"") -> bytes:
    return HEAD + OPENING + space + b"[" + numbers.encode() + b"]" + closing


def taught(raw: bytes, clock: Callable[[], float] = time.perf_counter) -> tuple[Recorder, Lanes]:
    """Lanes that have seen one request served the ordinary way."""
    recorder = Recorder()
    lanes = Lanes(recorder, recorder, clock)  # type: ignore[arg-type]
    json_codec.decode(raw[len(HEAD) :], recorder.signature)
    head = read_head("m", None, [])
    head.content_length = len(raw) - len(HEAD)
    lanes.learn(head, raw, len(HEAD))
    return recorder, lanes


def test_who_was_just_answered_is_waited_for_but_not_for_long() -> None:
    now = 0.0
    recorder, lanes = taught(request("1,2,3"), lambda: now)

    def join(*doors: Any) -> None:
        for door in doors:
            assert lanes.take(door, request("1,2,3"), now) is not None

    def flush() -> int:
        (soon,), recorder.soon = recorder.soon, []
        before = len(recorder.served)
        soon()
        return sum(len(alike.calls) for alike in recorder.served[before:])

    one, two, three = object(), object(), object()
    join(one)
    assert flush() == 1
    join(two, three)
    assert flush() == 0, "one is expected back"
    join(one)
    assert flush() == 3, "and is back"
    join(one)
    assert flush() == 0
    now += LONGEST_SECONDS
    assert flush() == 1, "the others take their time"


def test_nobody_is_waited_for_by_those_who_run_on_threads() -> None:
    recorder, lanes = taught(request("1,2,3"))
    recorder.inline = False
    for _ in range(3):
        assert lanes.take(object(), request("1,2,3"), 0.0) is not None  # type: ignore[arg-type]
        (flush,), recorder.soon = recorder.soon, []
        flush()
    assert [len(alike.calls) for alike in recorder.served] == [1, 1, 1]


def test_what_was_brought_before_a_run_is_not_served_again() -> None:
    recorder, lanes = taught(request("1,2,3"))
    assert lanes.take(DOOR, request("1,2,3"), 0.0) is not None
    lanes.flush()
    assert len(recorder.served) == 1
    (at_the_end,) = recorder.soon
    at_the_end()
    assert recorder.dispatched == 1


def test_requests_alike_but_for_their_numbers_meet_once_per_iteration() -> None:
    recorder, lanes = taught(request("1,2,3"))
    for numbers in ("1,2,3", "4,5,6"):
        call = lanes.take(DOOR, request(numbers), 5.0)
        assert call is not None
        assert (call.door, call.arrival) == (DOOR, 5.0)
    (flush,) = recorder.soon
    flush()
    (alike,) = recorder.served
    assert [body for _, body in alike.bodies()] == [
        request("1,2,3")[len(HEAD) :],
        request("4,5,6")[len(HEAD) :],
    ]
    assert recorder.dispatched == 1
    assert [len(part.calls) for part in alike.parts(1)] == [1, 1]


@pytest.mark.parametrize(
    "raw",
    [
        request("1,2,3,"),
        request("1,2,34"),
        request("1,2,3", b"}]]"),
        request("1,2,3", b"}]} "),
        request("1,2,3").replace(b"host: x", b"host: y"),
        request("1,2,3").replace(b'"x"', b'"y"'),
        request("1,2,3") + request("1,2,3"),
        request("1,2,3")[:-1],
        HEAD,
        b"",
    ],
)
def test_anything_else_is_left_to_the_ordinary_way(raw: bytes) -> None:
    _, lanes = taught(request("1,2,3"))
    assert lanes.take(DOOR, raw, 0.0) is None


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (request("1,2,3"), [(b"x-request-timeout-ms", b"5")]),
        (request("1,2,3"), [(b"content-encoding", b"gzip")]),
        (request("1,2,3"), [(b"content-type", b"application/msgpack")]),
        (request("[1,2,3]"), []),
        (request("1,2,3" + " " * 65_536), []),
        (request("1,2,3,4,5,6").replace(b"[1,3]", b"[2,3]"), []),
    ],
)
def test_what_is_special_has_no_pattern(raw: bytes, lines: list[tuple[bytes, bytes]]) -> None:
    recorder = Recorder()
    lanes = Lanes(recorder, recorder)  # type: ignore[arg-type]
    json_codec.decode(raw[len(HEAD) :], recorder.signature)
    lanes.learn(read_head("m", None, lines), raw, len(HEAD))
    assert lanes.take(DOOR, raw, 0.0) is None


row_of_text = st.lists(st.sampled_from(TEXTS), min_size=3, max_size=3)
odd_row_of_text = st.lists(st.sampled_from(TEXTS), max_size=7)
rows_of_text = st.lists(row_of_text | odd_row_of_text, min_size=1)


@given(rows_of_text, st.sampled_from([0, 1 << 20]))
@example([["1", "2", "3"], ["", "5", "6"]], 0)
@example([["1", '"', "3"], ["4", '"', "6"]], 0)
@example([["1", "[2", "3"], ["4]", "5", "6"]], 0)
@example([["[1", "2", "3]"], ["[4", "5", "6]"]], 0)
@example([["1", "2"], ["3", "4", "5", "6"]], 0)
@example([["1", "2"], ["3", "4", "5", "6"]], 1 << 20)
@example([["1"], ["2", "3", "4", "5", "6"]], 0)
def test_rows_read_together_are_those_read_alone_or_none(
    rows: list[list[str]], fast_from: int
) -> None:
    recorder, _ = taught(request("1,2,3"))
    (frame,) = recorder.signature.frames.values()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_bodies, "MIN_FAST_BYTES", fast_from)
        together = frame.read_rows([",".join(row).encode() for row in rows])
    if together is None:
        return
    fresh = Recorder().signature
    alone = [
        json_codec.decode(request(",".join(row))[len(HEAD) :], fresh).inputs[0] for row in rows
    ]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_plain_numbers_are_read_together() -> None:
    recorder, _ = taught(request("1,2,3"))
    (frame,) = recorder.signature.frames.values()
    together = frame.read_rows([b"1,2,3", b"4, 5 ,6.5"])
    assert together is not None
    np.testing.assert_array_equal(together, np.array([[1, 2, 3], [4, 5, 6.5]], np.float32))


def test_remembered_patterns_are_bounded() -> None:
    _, lanes = taught(request("1,2,3"))
    for length in range(MAX_PATTERNS + 10):
        raw = request("1,2,3").replace(b"host: x", b"host: %d" % length)
        lanes.learn(read_head("m", None, []), raw, len(raw) - len(request("1,2,3")) + len(HEAD))
    assert 0 < len(lanes._patterns) <= MAX_PATTERNS


def test_bodies_of_python_clients_with_spaces_meet_too() -> None:
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1.5, 2.5, 3.5]}
    raw = HEAD + json.dumps({"inputs": [tensor]}).encode()
    assert orjson.loads(raw[len(HEAD) :])
    _, lanes = taught(raw)
    assert lanes.take(DOOR, raw, 0.0) is not None
