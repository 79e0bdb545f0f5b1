"""What arrives on the fast path: order, pieces, limits, oddities of HTTP/1.1."""

from __future__ import annotations

import gc
import inspect
import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from penstock.batching.request import InferenceRequest
from penstock.server.inference.call import Call

Make = "Callable[..., bytes]"
_ID = re.compile(rb"x-request-id: [^\r]*|date: [^\r]*")


@pytest.fixture(params=["fast", "fast plain"])
def fast(request: pytest.FixtureRequest, servers: dict[str, Any]) -> Any:
    """The running server with the fast path: with requests remembered, and without."""
    return servers[request.param]


def value_of(answer: Any) -> float:
    """The number that a request to ``validation`` or ``echo`` comes back with."""
    assert answer.status == 200, answer
    value: float = json.loads(answer.body)["outputs"][0]["data"][0]
    return value


def error_of(answer: Any) -> str:
    assert answer.headers["content-type"] == "application/json"
    message: str = json.loads(answer.body)["error"]
    return message


# -- order ---------------------------------------------------------------------------------------


def test_pipelined_answers_keep_the_order_of_the_requests(
    fast: Any, post: Make, body: Make, held: Make, get: Make, gate: Any
) -> None:
    """Slow first, fast after it, and pages of the ASGI app among them: on one connection."""
    requests = [
        held(1000.0),
        post("echo", body([[1.0, 0.0]])),
        get("/v2"),
        post("echo", body([[2.0, 0.0]])),
        get("/v2/health/live"),
        post("nobody"),
        held(3.0),
    ]
    with fast.connect() as client:
        client.send(b"".join(requests))
        gate.wait_until_held()
        gate.open.set()
        assert value_of(client.answer()) == 1000.0
        assert value_of(client.answer()) == 1.0
        assert json.loads(client.answer().body)["name"] == "penstock"
        assert value_of(client.answer()) == 2.0
        assert json.loads(client.answer().body) == {"live": True}
        assert client.answer().status == 404
        assert value_of(client.answer()) == 3.0
        assert value_of(client.send(post()).answer()) == 1.0


def test_predictions_behind_a_page_come_after_it(
    fast: Any, post: Make, body: Make, get: Make
) -> None:
    with fast.connect() as client:
        for first, last in ((1.0, 2.0), (3.0, 4.0)):  # the heads are known the second time
            pieces = [post("echo", body([[value, 0.0]])) for value in (first, last)]
            client.send(get("/v2") + pieces[0] + get("/v2/models") + pieces[1])
            assert json.loads(client.answer().body)["name"] == "penstock"
            assert value_of(client.answer()) == first
            assert json.loads(client.answer().body)[0]["name"] == "bert"
            assert value_of(client.answer()) == last


def test_a_fast_answer_waits_for_the_slow_one_before_it(
    fast: Any, post: Make, held: Make, gate: Any
) -> None:
    with fast.connect() as client:
        client.send(held(1000.0), post())
        gate.wait_until_held()
        assert fast.ask(post()).status == 200  # on another connection nothing waits
        assert client.received == b""
        gate.open.set()
        assert value_of(client.answer()) == 1000.0
        assert value_of(client.answer()) == 1.0


def test_hundreds_of_requests_in_one_segment(fast: Any, post: Make, body: Make) -> None:
    requests = [post("echo", body([[float(i), 0.0]])) for i in range(500)]
    with fast.connect() as client:
        client.send(b"".join(requests))
        assert [value_of(client.answer()) for _ in requests] == list(map(float, range(500)))


def test_more_requests_than_may_wait_are_all_answered(fast: Any, held: Make, gate: Any) -> None:
    """The connection is not read beyond its limit, and read again once answers are out."""
    with fast.connect() as client:
        gate.open.set()
        for start in range(0, 200, 40):
            client.send(b"".join([held(float(i)) for i in range(start, start + 40)]))
            values = [value_of(client.answer()) for _ in range(40)]
            assert values == list(map(float, range(start, start + 40)))


# -- pieces --------------------------------------------------------------------------------------


def test_a_request_may_be_cut_anywhere(fast: Any, post: Make, body: Make) -> None:
    raw = post("echo", body([[7.0, 0.0]]), "x-cut: anywhere")
    with fast.connect() as client:
        for cut in range(1, len(raw)):
            client.send(raw[:cut])
            fast.on_loop(lambda: None)  # gives the loop a turn to read the first piece
            client.send(raw[cut:])
            assert value_of(client.answer()) == 7.0


def test_a_request_in_single_bytes(fast: Any, post: Make) -> None:
    raw = post("echo", None, "x-in: bytes")
    with fast.connect() as client:
        for _ in range(2):
            client.send(*[raw[i : i + 1] for i in range(len(raw))])
            assert value_of(client.answer()) == 1.0


def test_the_body_of_a_known_head_in_pieces_with_the_next_request_behind_it(
    fast: Any, post: Make, body: Make
) -> None:
    """No parser collects it, and the parser stands at the start of a message afterwards."""
    first, last = (post("echo", body([[value, 0.0]])) for value in (1.0, 2.0))
    unknown = post("echo", body([[3.0, 0.0]]), "x-new: 1")
    with fast.connect() as client:
        client.send(first).answer()
        client.send(first[:-20])
        client.send(first[-20:-10])
        client.send(first[-10:] + last + unknown)
        assert [value_of(client.answer()) for _ in range(3)] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("model", ["echo", "nobody"])
def test_what_is_answered_is_freed_without_a_collection(
    fast: Any, post: Make, body: Make, model: str
) -> None:
    """Workers collect seldom: a cycle would keep the bodies of thousands of requests."""
    raw = post(model, body([[1.0, 0.0]]), "x-request-id: me")  # never in a group

    def alive() -> int:
        return sum(isinstance(one, (Call, InferenceRequest)) for one in gc.get_objects())

    gc.disable()
    try:
        with fast.connect() as client:
            client.send(raw).answer()
            before = alive()
            for _ in range(50):
                client.send(raw).answer()
            assert alive() < before + 10
    finally:
        gc.enable()


def test_two_requests_cut_anywhere_between_them(fast: Any, post: Make, body: Make) -> None:
    both = post("echo", body([[1.0, 0.0]])) + post("echo", body([[2.0, 0.0]]))
    with fast.connect() as client:
        for cut in range(0, len(both), 7):
            client.send(both[:cut])
            fast.on_loop(lambda: None)
            client.send(both[cut:])
            assert [value_of(client.answer()) for _ in range(2)] == [1.0, 2.0]


def test_chunked_bodies(fast: Any, chunked: Make, body: Make) -> None:
    content = body([[5.0, 0.0]])
    pieces = [content[i : i + 1] for i in range(len(content))]
    trailers = b"x-checksum: 1\r\nx-request-id: trailing\r\n"
    with fast.connect() as client:
        for raw in (
            chunked("echo", content),
            chunked("echo", *pieces),
            chunked("echo", content, trailers=trailers),
            chunked("echo", content).replace(b"\r\n{", b";name=value\r\n{"),
        ):
            answer = client.send(raw).answer()
            assert value_of(answer) == 5.0
            assert answer.headers["x-request-id"] != "trailing"


# -- limits --------------------------------------------------------------------------------------


def test_too_many_headers(fast: Any, post: Make) -> None:
    lines = [f"x-{i}: {i}" for i in range(98)]
    assert fast.ask(post("echo", None, *lines)).status == 200  # and host, content-length
    with fast.connect() as client:
        answer = client.send(post("echo", None, *lines, "x-98: 98")).answer()
        assert (answer.status, answer.headers["connection"]) == (431, "close")
        assert error_of(answer) == "101 headers; at most 100 are accepted"
        assert client.closed()


@pytest.mark.parametrize("whole", [True, False])
def test_too_long_headers(fast: Any, post: Make, whole: bool) -> None:
    raw = post("echo", None, f"x-long: {'a' * 33_000}")
    pieces = [raw] if whole else [raw[i : i + 1000] for i in range(0, len(raw), 1000)]
    with fast.connect() as client:
        answer = client.send(*pieces).answer()
        assert answer.status == 431
        assert error_of(answer) == "the head is over 32768 bytes"
        assert client.closed()


def test_headers_that_never_end(fast: Any, post: Make) -> None:
    """Refused long before they fill the memory, and the refusal can be read."""
    with fast.connect() as client:
        client.send(post()[:60])
        for i in range(50):
            client.send(b"x-endless-%d: %s\r\n" % (i, b"a" * 1000))
        answer = client.answer()
        assert answer.status == 431
        assert client.closed()


def test_a_target_that_never_ends(fast: Any) -> None:
    with fast.connect() as client:
        client.send(b"POST /v2/models/" + b"a" * 200_000)
        assert client.send(b"/infer HTTP/1.1\r\nhost: x\r\n\r\n").answer().status == 431


def test_headers_at_the_limit_are_accepted_however_they_are_cut(fast: Any, post: Make) -> None:
    lines = [f"x-{i:02}: {'v' * 320}" for i in range(97)]
    raw = post("echo", None, *lines)
    with fast.connect() as client:
        client.send(*[raw[i : i + 500] for i in range(0, len(raw), 500)])
        assert client.answer().status == 200


def test_a_body_over_the_limit_is_refused_before_it_comes(fast: Any, post: Make) -> None:
    with fast.connect() as client:
        answer = client.send(post("echo", b"", "x-request-id: big", length=300_001)).answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert answer.headers["x-request-id"] == "big"
        assert error_of(answer) == "the body is over 300000 bytes"
        assert client.closed()


def test_a_client_that_goes_on_sending_can_read_why_it_was_refused(fast: Any, post: Make) -> None:
    content = b" " * 5_000_000
    with fast.connect() as client:
        assert client.send(post("echo", content)).answer().status == 413
        assert client.closed()


def test_a_chunked_body_that_grows_over_the_limit(fast: Any, chunked: Make) -> None:
    with fast.connect() as client:
        answer = client.send(chunked("echo", *[b" " * 10_000] * 40)).answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        assert client.closed()


def test_a_refusal_waits_for_the_answers_before_it(
    fast: Any, post: Make, held: Make, gate: Any
) -> None:
    with fast.connect() as client:
        client.send(held(1000.0) + post("echo", b"", length=300_001))
        gate.wait_until_held()
        gate.open.set()
        first = client.answer()
        assert value_of(first) == 1000.0
        assert "connection" not in first.headers
        assert client.answer().status == 413
        assert client.closed()


# -- expectations and upgrades -------------------------------------------------------------------


def test_expect_100_continue(any_server: Any, post: Make, body: Make) -> None:
    content = body([[4.0, 0.0]])
    head = post("echo", b"", "Expect: 100-Continue", length=len(content))
    with any_server.connect() as client:
        for _ in range(2):
            client.send(head)
            assert client._until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
            assert value_of(client.send(content).answer()) == 4.0


def test_expect_100_continue_behind_an_unanswered_request(
    fast: Any, post: Make, body: Make, held: Make, gate: Any
) -> None:
    content = body([[4.0, 0.0]])
    with fast.connect() as client:
        client.send(held(1000.0) + post("echo", b"", "expect: 100-continue", length=len(content)))
        gate.wait_until_held()
        gate.open.set()
        assert value_of(client.answer()) == 1000.0
        assert client._until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        assert value_of(client.send(content).answer()) == 4.0


def test_expect_100_continue_is_answered_by_a_refusal(fast: Any, post: Make) -> None:
    with fast.connect() as client:
        client.send(post("echo", b"", "expect: 100-continue", length=300_001))
        assert client._until(b"\r\n\r\n").startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("how", ["whole", "bytes", "chunked"])
def test_an_offered_upgrade_is_declined(
    fast: Any, post: Make, chunked: Make, body: Make, how: str
) -> None:
    """As Java's client sends its first request."""
    result = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIA")
    raw = post("echo", body([[4.0, 0.0]]), *result)
    if how == "chunked":
        raw = chunked("echo", body([[4.0, 0.0]])).replace(
            b"\r\nhost", "\r\n".join(["", *result, "host"]).encode(), 1
        )
    pieces = [raw] if how == "whole" else [raw[i : i + 1] for i in range(len(raw))]
    with fast.connect() as client:
        for _ in range(2):
            assert value_of(client.send(*pieces).answer()) == 4.0
        assert value_of(client.send(post()).answer()) == 1.0
        assert value_of(client.send(raw + post()).answer()) == 4.0
        assert value_of(client.answer()) == 1.0


def test_connect_is_refused(fast: Any) -> None:
    with fast.connect() as client:
        answer = client.send(b"CONNECT a:443 HTTP/1.1\r\nhost: a\r\n\r\n").answer()
        assert (answer.status, answer.headers["allow"]) == (405, "GET, POST")
        assert client.closed()


# -- the end of a connection ---------------------------------------------------------------------


def test_connection_close_is_honoured(any_server: Any, post: Make) -> None:
    with any_server.connect() as client:
        answer = client.send(post("echo", None, "connection: close")).answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert client.closed()


def test_http_1_0_closes(any_server: Any, post: Make) -> None:
    for lines in ((), ("connection: keep-alive",)):
        with any_server.connect() as client:
            answer = client.send(post("echo", None, *lines, version="HTTP/1.0")).answer()
            assert answer.status == 200
            assert answer.headers["connection"] == "close"
            assert client.closed()


def test_nothing_is_read_behind_the_last_request(fast: Any, post: Make) -> None:
    for _ in range(2):  # the second time by its known head
        with fast.connect() as client:
            client.send(post("echo", None, "connection: close") + post() * 3)
            assert client.answer().status == 200
            assert client.closed()


# -- what is not HTTP ----------------------------------------------------------------------------

NOT_HTTP = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a word": b"hello\r\n\r\n",
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a space before the colon": b"POST /v2/models/echo/infer HTTP/1.1\r\nhost : x\r\n\r\n",
    "a control character": b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: \x00\r\n\r\n",
    "a length that is no number": b"POST /v2 HTTP/1.1\r\ncontent-length: 5x\r\n\r\n",
    "a signed length": b"POST /v2/models/echo/infer HTTP/1.1\r\ncontent-length: +5\r\n\r\n12345",
    "two lengths": (
        b"POST /v2/models/echo/infer HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n"
    ),
    "two different lengths": (
        b"POST /v2/models/echo/infer HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n"
    ),
    "a length and chunks": (
        b"POST /v2/models/echo/infer HTTP/1.1\r\ncontent-length: 5\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunks and a length": (
        b"POST /v2/models/echo/infer HTTP/1.1\r\ntransfer-encoding: chunked\r\n"
        b"content-length: 5\r\n\r\n0\r\n\r\n"
    ),
    "an encoding that does not end": (
        b"POST /v2/models/echo/infer HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n"
    ),
    "a chunk size that is no number": (
        b"POST /v2/models/echo/infer HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"
    ),
    "a chunk longer than it says": (
        b"POST /v2/models/echo/infer HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n"
    ),
    "line feeds alone": b"POST /v2/models/echo/infer HTTP/1.1\nhost: x\n\n",
}


@pytest.mark.parametrize("case", NOT_HTTP)
def test_what_is_not_http_is_refused_and_forgotten(fast: Any, post: Make, case: str) -> None:
    known = len(fast.app.engine.port.head_cache)
    for _ in range(2):
        with fast.connect() as client:
            answer = client.send(NOT_HTTP[case]).answer()
            assert (answer.status, answer.headers["connection"]) == (400, "close")
            assert error_of(answer)
            assert client.closed()
    assert len(fast.app.engine.port.head_cache) == known
    assert fast.ask(post()).status == 200


def test_garbage_behind_a_page_does_not_overtake_it(fast: Any, get: Make) -> None:
    with fast.connect() as client:
        client.send(get("/v2") + get("/docs") + b"garbage\r\n\r\n" + b"x" * 1_000_000)
        assert client.answer().status == client.answer().status == 200
        assert client.closed()


def test_garbage_behind_a_prediction_is_answered_after_it(fast: Any, post: Make) -> None:
    with fast.connect() as client:
        client.send(post() + b"garbage\r\n\r\n")
        assert client.answer().status == 200
        assert client.answer().status == 400
        assert client.closed()


def test_an_unsolicited_answer_is_never_sent(fast: Any, post: Make) -> None:
    """The app has answered, then the body is broken: whose answer would another one be?"""
    head = post("/v2/models/echo", b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    with fast.connect() as client:
        assert client.send(head).answer().status == 405
        assert client.send(b"not a chunk\r\n").closed()


def test_empty_lines_before_a_request_are_skipped(fast: Any, post: Make) -> None:
    with fast.connect() as client:
        for lead in (b"\r\n", b"\r\n\r\n", b"\r\n"):
            assert value_of(client.send(lead + post()).answer()) == 1.0
            assert value_of(client.send(lead, post()).answer()) == 1.0


# -- known heads ---------------------------------------------------------------------------------

_TOKEN = st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=1, max_size=12)
_VALUES = st.one_of(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")),
    st.sampled_from(["application/json", "gzip", "5000", "*/*", "a,b;q=0.5"]),
)
#: Any client may send these, once each.
_PLAIN = st.dictionaries(
    st.one_of(_TOKEN.map("x-{}".format), st.sampled_from(["Accept", "HOST", "accept-encoding"])),
    _VALUES,
    max_size=4,
).map(lambda lines: "".join([f"{name}: {value}\r\n" for name, value in lines.items()]))
#: These change what the bytes around them mean, or should not be there at all.
_ODD = st.sampled_from(
    [
        *[""] * 12,
        "Connection: close\r\n",
        "connection: keep-alive\r\n",
        "connection: upgrade\r\nupgrade: h2c\r\n",
        "Expect: 100-continue\r\n",
        "Content-Length: 86\r\n",
        "content-length: 0\r\n",
        "content-length: 300001\r\n",
        "transfer-encoding: chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "x-request-id: mine\r\n",
        "x-request-timeout-ms: 5000\r\n",
        "x-request-timeout-ms: 0\r\n",
        "content-type: text/csv\r\n",
        "content-encoding: gzip\r\n",
        "inference-header-content-length: 86\r\n",
        "x-folded: one\r\n two\r\n",
        "x-bare: line feed\n",
        "x-bare: return\r",
        "x-space : before the colon\r\n",
        "x-no-colon\r\n",
        ": no name\r\n",
        "x-empty:\r\n",
        "\n",
    ]
)
_STARTS = st.sampled_from(
    [
        *["POST /v2/models/echo/infer HTTP/1.1\r\n"] * 5,
        "POST /v2/models/echo/versions/1/infer HTTP/1.1\r\n",
        "POST /v2/models/echo/infer HTTP/1.0\r\n",
        "POST  /v2/models/echo/infer HTTP/1.1\r\n",
        "POST /v2/models/echo/infer?a=b HTTP/1.1\r\n",
        "POST http://x/v2/models/echo/infer HTTP/1.1\r\n",
        "post /v2/models/echo/infer HTTP/1.1\r\n",
        "PUT /v2/models/echo/infer HTTP/1.1\r\n",
        "POST /v2/models/echo/infer HTTP/1.1\n",
        "\r\nPOST /v2/models/echo/infer HTTP/1.1\r\n",
    ]
)


#: Completes any body, and is skipped between two requests.
_FILL = b"\r\n" * 151_000
_END = b"GET /end HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


def outcome(server: Any, raw: bytes) -> bytes:
    """All that one connection answers to these bytes."""
    with server.connect() as client:
        with suppress(OSError):  # refused, and closed, before it had all
            client.send(raw + _FILL + _END)
        return _ID.sub(b"", client.rest())


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(start=_STARTS, plain=_PLAIN, odd=_ODD, more=_PLAIN, sized=st.sampled_from([1, 1, 1, 0]))
def test_a_known_head_means_what_it_meant_when_it_was_parsed(
    fast: Any, body: Make, start: str, plain: str, odd: str, more: str, sized: int
) -> None:
    """Equal bytes, equal answers: by the parser, by the memory, and by the memory of others."""
    content = body()
    length = f"content-length: {len(content)}\r\n" * sized
    raw = (start + length + plain + odd + more + "\r\n").encode("latin-1") + content
    port = fast.app.engine.port
    fast.on_loop(port.head_cache.clear)
    first = outcome(fast, raw)
    assert outcome(fast, raw) == first
    assert outcome(fast, raw) == first


def test_heads_that_come_again_are_known_and_others_are_not(
    servers: dict[str, Any], post: Make
) -> None:
    fast = servers["fast"]
    known = fast.app.engine.port.head_cache
    fast.on_loop(known.clear)
    for _ in range(3):
        assert fast.ask(post("echo", None, "x-known: yes")).status == 200
        for line in ("x-request-id: a", "expect: 100-continue", "content-type: no/such", "x: \n y"):
            fast.ask(post("echo", None, line))
        fast.ask(b"\r\n" + post("echo", None, "x-led: by empty lines"))
    assert [b"x-known" in head for head in known] == [True]


def test_a_server_that_remembers_nothing_keeps_no_head(servers: dict[str, Any], post: Make) -> None:
    plain = servers["fast plain"]
    for _ in range(3):
        assert plain.ask(post("echo", None, "x-known: yes")).status == 200
    assert not plain.app.engine.port.head_cache
    assert plain.app.engine.port.coalescer is None


def test_the_memory_of_heads_is_bounded(
    servers: dict[str, Any], post: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = servers["fast"]
    monkeypatch.setattr("penstock.server.http.coalescing.head_cache.MAX_HEADS", 8)
    with fast.connect() as client:
        for i in range(30):
            assert client.send(post("echo", None, f"x-unique: {i}")).answer().status == 200
            assert client.send(post("echo", None, f"x-{i}: {'a' * 2048}")).answer().status == 200
            assert len(fast.app.engine.port.head_cache) <= 8


# -- the parent ----------------------------------------------------------------------------------


def test_uvicorn_is_shaped_as_the_fast_path_relies_on() -> None:
    """The pinned release is subclassed; this says what to look at when the pin moves."""
    parameters = {
        name: list(inspect.signature(getattr(HttpToolsProtocol, name)).parameters)[1:]
        for name in (
            "__init__",
            "connection_made",
            "connection_lost",
            "data_received",
            "on_message_begin",
            "on_url",
            "on_header",
            "on_headers_complete",
            "on_body",
            "on_message_complete",
            "send_400_response",
            "handle_websocket_upgrade",
            "timeout_keep_alive_handler",
            "shutdown",
            "pause_writing",
            "resume_writing",
            "_should_upgrade",
            "_start_asgi_task",
        )
    }
    assert parameters == {
        "__init__": ["config", "server_state", "app_state", "_loop"],
        "connection_made": ["transport"],
        "connection_lost": ["exc"],
        "data_received": ["data"],
        "on_message_begin": [],
        "on_url": ["url"],
        "on_header": ["name", "value"],
        "on_headers_complete": [],
        "on_body": ["body"],
        "on_message_complete": [],
        "send_400_response": ["msg"],
        "handle_websocket_upgrade": [],
        "timeout_keep_alive_handler": [],
        "shutdown": [],
        "pause_writing": [],
        "resume_writing": [],
        "_should_upgrade": [],
        "_start_asgi_task": ["cycle", "app"],
    }
    source = inspect.getsource(HttpToolsProtocol.__init__)
    for attribute in ("access_log", "connections", "flow", "parser", "pipeline", "server_state"):
        assert f"self.{attribute}" in source
    for attribute in ("read_paused", "write_paused"):
        assert f"self.{attribute}" in inspect.getsource(FlowControl)
    # What the parent does with the cycle that stands in for the fast calls.
    used = inspect.getsource(HttpToolsProtocol)
    attributes = set(re.findall(r"(?:self\.|existing_)cycle\.(\w+)", used))
    assert attributes == {
        "response_complete",
        "disconnected",
        "message_event",
        "body",
        "more_body",
        "keep_alive",
    }
    assert "self.pipeline.appendleft((self.cycle, app))" in used
    assert "self.response_complete = True" in inspect.getsource(RequestResponseCycle.send)
