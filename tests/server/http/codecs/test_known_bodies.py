from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.server.errors import ApiError
from penstock.server.http.codecs import json, known_bodies
from penstock.server.http.codecs.request import build

OPENING = b'{"inputs":[{"name":"x","shape":[2,3],"datatype":"FP32","data":'
PIECES = [b"[", b"]", b",", b"1", b"-2.5", b"1e40", b" ", b"{", b"}", b'"a"', b"null", b":", b"\\"]


def outcome(read: Any) -> Any:
    try:
        request = read()
    except ApiError as error:
        return error.message
    arrays = [(a.dtype, a.shape, a.tobytes()) for a in request.inputs]
    return arrays, request.rows, request.key, request.id, request.outputs


def ordinary(body: bytes, wire: Any) -> Any:
    """What the body means without anything remembered."""

    def read() -> Any:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise json.malformed(error) from None
        return build(document, wire, json.read)

    return outcome(read)


@pytest.fixture
def wire(wire_of: Any) -> Any:
    return wire_of(("x", "FP32", (-1, 3)))


@pytest.mark.parametrize("closing", [b"}]}", b" } ] }\n", b"}\n]\t}  "])
def test_the_frame_of_a_plain_body_is_learnt(wire: Any, closing: bytes) -> None:
    json.decode(OPENING + b"[1,2,3,4,5,6]" + closing, wire)
    (frame,) = wire.frames.values()
    assert frame.closing == closing


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"a","inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}',
        b'{"inputs":[{"name":"x","shape":[1,3],"data":[1,2,3],"datatype":"FP32"}]}',
        b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[9],"data":[1,2,3]}]}',
        b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data" :[1,2,3]}]}',
    ],
)
def test_other_bodies_are_read_but_not_learnt(wire: Any, body: bytes) -> None:
    json.decode(body, wire)
    assert not wire.frames


@given(
    st.lists(st.sampled_from(PIECES), max_size=14),
    st.sampled_from([b"}]}", b"}]} ", b"}]}}"]),
    st.sampled_from([0, 1 << 20]),
)
@example([b"[", b"1", b"]", b"}", b",", b"{"], b"}]}", 0)
def test_a_known_frame_changes_no_answer(
    wire_of: Any, pieces: list[bytes], closing: bytes, fast_from: int
) -> None:
    wire = wire_of(("x", "FP32", (-1, 3)))
    json.decode(OPENING + b"[1,2,3,4,5,6]}]}", wire)
    assert wire.frames
    body = OPENING + b"".join(pieces) + closing
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_bodies, "MIN_FAST_LIST", fast_from)
        assert outcome(lambda: json.decode(body, wire)) == ordinary(body, wire)


@given(st.binary(max_size=12), st.integers(0, len(OPENING) + 20), st.booleans())
def test_a_damaged_body_means_the_same_before_and_after_learning(
    wire_of: Any, noise: bytes, at: int, replace: bool
) -> None:
    wire = wire_of(("x", "FP32", (-1, 3)))
    good = OPENING + b"[1,2,3,4,5,6]}]}"
    body = good[:at] + noise + good[at + (len(noise) if replace else 0) :]
    expected = ordinary(body, wire)
    assert outcome(lambda: json.decode(body, wire)) == expected
    assert outcome(lambda: json.decode(body, wire)) == expected
    assert outcome(lambda: json.decode(good, wire)) == ordinary(good, wire)


def test_remembered_frames_are_bounded(wire: Any) -> None:
    for rows in range(1, known_bodies.MAX_FRAMES * 2):
        tensor = {"name": "x", "shape": [rows, 3], "datatype": "FP32", "data": [1] * rows * 3}
        json.decode(orjson.dumps({"inputs": [tensor]}), wire)
    assert 0 < len(wire.frames) <= known_bodies.MAX_FRAMES


def test_a_body_of_a_known_frame_is_not_validated_again(wire: Any) -> None:
    """What makes it fast: were the ordinary way taken, the doctored frame would not be seen."""
    json.decode(OPENING + b"[1,2,3,4,5,6]}]}", wire)
    (frame,) = wire.frames.values()
    frame.rows = 77
    assert json.decode(OPENING + b"[1,2,3,4,5,7]}]}", wire).rows == 77
