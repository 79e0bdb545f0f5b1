from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.runtimes.contract import Signature, TensorSpec
from penstock.server.codecs import json as json_codec
from penstock.server.codecs.signature import WireSignature
from penstock.server.http.coalescing import text_template
from penstock.server.http.coalescing.coalescer import Coalescer
from penstock.server.http.coalescing.head_cache import HeadCache
from penstock.server.http.coalescing.linger import LONGEST_SECONDS
from penstock.server.http.coalescing.request_templates import MAX_TEMPLATES, MAX_TRIES
from penstock.server.inference.call import Call
from penstock.server.inference.head import RequestHead, read_head

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = b"POST /v2/models/m/infer HTTP/1.1\r\nhost: x\r\n\r\n"
OPENING = b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":'
CLOSING = b"}]}"
WRITER: Any = object()
TEXTS = ["1", "-2.5", "1e3", "1e39", "true", "null", '"7"', "[1]", "{}", "", " 4 ", "NaN", "9" * 30]
TEXTS += [MARK := "1e300", "null,null", "1]", "-0", "1.", "01", "1E5", "\\"]


class Recorder:
    """A runner that remembers its calls, and a loop that does nothing by itself."""

    def __init__(self) -> None:
        spec = TensorSpec("x", "FP32", (-1, 3))
        self.signature = WireSignature(Signature((spec,), (spec,), batch_axis=True), "m", "1")
        self.served: list[Any] = []
        self.soon: list[Callable[[], None]] = []
        self.dispatched = 0
        self.inline = True

    def serve(self, gathered: list[Any]) -> None:
        self.served += gathered
        self.dispatched += 1
        for coalesced in gathered:
            coalesced.group.inline = self.inline

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)


def request(numbers: str, closing: bytes = CLOSING, space: bytes = b"") -> bytes:
    return HEAD + OPENING + space + b"[" + numbers.encode() + b"]" + closing


def answered(head: RequestHead, body: bytes, signature: WireSignature) -> list[tuple[Call, None]]:
    """What a coalescer is told of a request that was read the plain way and answered."""
    call = Call(WRITER, head, 0.0)
    call.body = body
    call.servable = SimpleNamespace(wire=signature)  # type: ignore[assignment]
    return [(call, None)]


def known_head(lines: bytes, heads: HeadCache, *headers: tuple[bytes, bytes]) -> RequestHead:
    head = read_head("m", None, headers)
    head.lines = lines
    heads[lines] = head
    return head


def taught(
    raw: bytes,
    clock: Callable[[], float] = time.perf_counter,
    *headers: tuple[bytes, bytes],
) -> tuple[Recorder, Coalescer]:
    """A coalescer that has seen one request answered the plain way."""
    recorder, heads = Recorder(), HeadCache()
    coalescer = Coalescer(recorder, heads, recorder, clock)  # type: ignore[arg-type]
    head = known_head(HEAD, heads, *headers)
    coalescer.learn(answered(head, raw[len(HEAD) :], recorder.signature))
    return recorder, coalescer


def test_who_was_just_answered_is_waited_for_but_not_for_long() -> None:
    now = 0.0
    recorder, coalescer = taught(request("1,2,3"), lambda: now)

    def join(*writers: Any) -> None:
        for writer in writers:
            assert coalescer.try_take(writer, request("1,2,3"), now) is not None

    def flush() -> int:
        (soon,), recorder.soon = recorder.soon, []
        before = len(recorder.served)
        soon()
        return sum(len(coalesced.calls) for coalesced in recorder.served[before:])

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
    recorder, coalescer = taught(request("1,2,3"))
    recorder.inline = False
    for _ in range(3):
        assert coalescer.try_take(object(), request("1,2,3"), 0.0) is not None  # type: ignore[arg-type]
        (flush,), recorder.soon = recorder.soon, []
        flush()
    assert [len(coalesced.calls) for coalesced in recorder.served] == [1, 1, 1]


def test_what_was_brought_before_a_run_is_not_served_again() -> None:
    recorder, coalescer = taught(request("1,2,3"))
    assert coalescer.try_take(WRITER, request("1,2,3"), 0.0) is not None
    coalescer.flush()
    assert len(recorder.served) == 1
    (at_the_end,) = recorder.soon
    at_the_end()
    assert recorder.dispatched == 1


def test_requests_alike_but_for_their_numbers_meet_once_per_iteration() -> None:
    recorder, coalescer = taught(request("1,2,3"))
    for numbers in ("1,2,3", "4,5,6"):
        call = coalescer.try_take(WRITER, request(numbers), 5.0)
        assert call is not None
        assert (call.writer, call.arrival) == (WRITER, 5.0)
    (flush,) = recorder.soon
    flush()
    (coalesced,) = recorder.served
    assert [body for _, body in coalesced.bodies()] == [
        request("1,2,3")[len(HEAD) :],
        request("4,5,6")[len(HEAD) :],
    ]
    assert recorder.dispatched == 1
    assert [len(part.calls) for part in coalesced.parts(1)] == [1, 1]


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
    _, coalescer = taught(request("1,2,3"))
    assert coalescer.try_take(WRITER, raw, 0.0) is None


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (request("1,2,3"), [(b"x-request-timeout-ms", b"5")]),
        (request("1,2,3"), [(b"content-encoding", b"gzip")]),
        (request("1,2,3"), [(b"content-type", b"application/msgpack")]),
        (request("[1,2,3]"), []),
        (request("1,2,3,4,5,6").replace(b"[1,3]", b"[2,3]"), []),
    ],
)
def test_what_is_special_has_no_template(raw: bytes, lines: list[tuple[bytes, bytes]]) -> None:
    _, coalescer = taught(raw, time.perf_counter, *lines)
    assert coalescer.try_take(WRITER, raw, 0.0) is None


row_of_text = st.lists(st.sampled_from(TEXTS), min_size=3, max_size=3)
odd_row_of_text = st.lists(st.sampled_from(TEXTS), max_size=7)
rows_of_text = st.lists(row_of_text | odd_row_of_text, min_size=1)


@settings(deadline=None)
@given(rows_of_text, st.sampled_from([0, 1 << 20]))
@example([["1", "2", "3"], ["", "5", "6"]], 0)
@example([["1", '"', "3"], ["4", '"', "6"]], 0)
@example([["1", "[2", "3"], ["4]", "5", "6"]], 0)
@example([["[1", "2", "3]"], ["[4", "5", "6]"]], 0)
@example([["1", "2"], ["3", "4", "5", "6"]], 0)
@example([["1", "2"], ["3", "4", "5", "6"]], 1 << 20)
@example([["1"], ["2", "3", "4", "5", "6"]], 0)
@example([["1", "2", "3", "null", "4"], ["5"]], 1 << 20)
@example([["1", "2"], ["3", "null", "4", "5", "6"]], 1 << 20)
@example([["1", "2", "3", MARK, "4"], ["5"]], 0)
@example([["1", "2"], ["3", MARK, "4", "5", "6"]], 0)
@example([["1", "2", MARK], ["3", "4", "5"]], 0)
@example([["1", "2", "null"], ["3", "4", "5"]], 1 << 20)
@example([["1", "2", "3]"], ["[3", "4", "5"]], 1 << 20)
def test_rows_read_together_are_those_read_alone_or_none(
    rows: list[list[str]], fast_from: int
) -> None:
    recorder, _ = taught(request("1,2,3"))
    (template,) = recorder.signature.body_templates.values()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_template, "MIN_FAST_BYTES", fast_from)
        together = template.read_rows([",".join(row).encode() for row in rows])
    if together is None:
        return
    fresh = Recorder().signature
    alone = [
        json_codec.decode(request(",".join(row))[len(HEAD) :], fresh).inputs[0] for row in rows
    ]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_plain_numbers_are_read_together() -> None:
    recorder, _ = taught(request("1,2,3"))
    (template,) = recorder.signature.body_templates.values()
    together = template.read_rows([b"1,2,3", b"4, 5 ,6.5"])
    assert together is not None
    np.testing.assert_array_equal(together, np.array([[1, 2, 3], [4, 5, 6.5]], np.float32))


def test_remembered_templates_are_bounded() -> None:
    recorder, heads = Recorder(), HeadCache()
    coalescer = Coalescer(recorder, heads, recorder)  # type: ignore[arg-type]
    body = request("1,2,3")[len(HEAD) :]
    for number in range(MAX_TEMPLATES + 10):
        lines = HEAD.replace(b"host: x", b"host: %d" % number)
        coalescer.learn(answered(known_head(lines, heads), body, recorder.signature))
    assert 0 < len(coalescer.templates._text) <= MAX_TEMPLATES


def test_groups_are_bounded_where_one_head_comes_with_ever_new_bodies() -> None:
    recorder, heads = Recorder(), HeadCache()
    coalescer = Coalescer(recorder, heads, recorder)  # type: ignore[arg-type]
    head = known_head(HEAD, heads)
    for number in range(MAX_TEMPLATES + 10):
        tail = b"".join(b"\n" if number >> bit & 1 else b" " for bit in range(14))
        body = request("1,2,3", space=tail)[len(HEAD) :]
        coalescer.learn(answered(head, body, recorder.signature))
    assert 0 < len(coalescer.templates._groups) <= MAX_TEMPLATES


def test_a_head_that_was_forgotten_meanwhile_is_not_learnt() -> None:
    """Its token may have been revoked while the request ran."""
    recorder, heads = Recorder(), HeadCache()
    coalescer = Coalescer(recorder, heads, recorder)  # type: ignore[arg-type]
    raw = request("1,2,3")
    late = answered(known_head(HEAD, heads), raw[len(HEAD) :], recorder.signature)
    heads.clear()
    coalescer.forget()
    coalescer.learn(late)
    assert coalescer.try_take(WRITER, raw, 0.0) is None


def test_a_request_of_which_nothing_can_be_learnt_is_not_looked_at_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[bytes] = []
    learn = text_template.learn
    monkeypatch.setattr(
        text_template, "learn", lambda body, wire: looked.append(body) or learn(body, wire)
    )
    recorder, heads = Recorder(), HeadCache()
    coalescer = Coalescer(recorder, heads, recorder)  # type: ignore[arg-type]
    head = known_head(HEAD, heads)
    for _ in range(3 * MAX_TRIES):
        coalescer.learn(answered(head, request("[1,2,3]")[len(HEAD) :], recorder.signature))
    assert len(looked) == MAX_TRIES


@pytest.mark.parametrize(
    "between",
    [b'7,"x":', b'{"a":', b"nonsense", b'"', b'7,"datatype":"INT64","data":', b"-", b"\xff"],
)
def test_bytes_between_key_and_list_are_part_of_the_key(between: bytes) -> None:
    recorder, coalescer = taught(request("1,2,3"))
    odd = request("1,2,3", space=between)
    assert coalescer.try_take(WRITER, odd, 0.0) is None
    (template,) = recorder.signature.body_templates.values()
    assert template.read(odd[len(HEAD) :], recorder.signature) is None


def test_white_space_around_the_list_may_be_learnt_and_each_kind_has_a_group_of_its_own() -> None:
    recorder, coalescer = taught(request("1,2,3", space=b" \t"))
    assert coalescer.try_take(WRITER, request("4,5,6", space=b" \t"), 0.0) is not None
    assert coalescer.try_take(WRITER, request("4,5,6", space=b"\t "), 0.0) is None
    assert coalescer.try_take(WRITER, request("4,5,6"), 0.0) is None
    (group,) = coalescer._busy
    assert group.template(recorder.signature) is not None
    assert group.template(Recorder().signature) is None, "another version has not answered any"


def test_bodies_of_python_clients_with_spaces_meet_too() -> None:
    tensor = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1.5, 2.5, 3.5]}
    raw = HEAD + json.dumps({"inputs": [tensor]}).encode()
    assert orjson.loads(raw[len(HEAD) :])
    _, coalescer = taught(raw)
    assert coalescer.try_take(WRITER, raw, 0.0) is not None


def test_who_wants_a_compressed_answer_has_a_group_of_its_own() -> None:
    recorder, heads = Recorder(), HeadCache()
    coalescer = Coalescer(recorder, heads, recorder)  # type: ignore[arg-type]
    raws = [request("1,2,3"), request("1,2,3").replace(b"host: x", b"host: y")]
    for raw, headers in zip(raws, [[], [(b"accept-encoding", b"gzip")]], strict=True):
        lines, _, body = raw.partition(b"\r\n\r\n")
        head = known_head(lines + b"\r\n\r\n", heads, *headers)
        coalescer.learn(answered(head, body, recorder.signature))
        assert coalescer.try_take(WRITER, raw, 0.0) is not None
    assert [group.accept_encoding for group in coalescer._busy] == [None, "gzip"]
