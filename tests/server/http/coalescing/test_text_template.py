from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.server.codecs import json
from penstock.server.codecs.request import build
from penstock.server.errors import ApiError
from penstock.server.http.coalescing import text_template

OPENING = b'{"inputs":[{"name":"x","shape":[2,3],"datatype":"FP32","data":'
PIECES = [b"[", b"]", b",", b"1", b"-2.5", b"1e40", b" ", b"{", b"}", b'"a"', b"null", b":", b"\\"]


def outcome(read: Any) -> Any:
    try:
        request = read()
    except ApiError as error:
        return error.message
    arrays = [(a.dtype, a.shape, a.tobytes()) for a in request.inputs]
    return arrays, request.rows, request.key, request.id, request.outputs


def plain(body: bytes, wire: Any) -> Any:
    """What the body means without anything remembered."""

    def read() -> Any:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise json.malformed(error) from None
        return build(document, wire, json.read)

    return outcome(read)


def remembered(body: bytes, wire: Any) -> Any:
    """What the body means to a server that remembers; it learns what it has answered."""

    def read() -> Any:
        request = text_template.read(body, wire)
        if request is None:
            request = json.decode(body, wire)
            text_template.learn(body, wire)
        return request

    return outcome(read)


@pytest.fixture
def wire(wire_of: Any) -> Any:
    return wire_of(("x", "FP32", (-1, 3)))


@pytest.mark.parametrize("closing", [b"}]}", b" } ] }\n", b"}\n]\t}  "])
def test_the_template_of_a_plain_body_is_learnt(wire: Any, closing: bytes) -> None:
    text_template.learn(OPENING + b"[1,2,3,4,5,6]" + closing, wire)
    (template,) = wire.body_templates.values()
    assert template.closing == closing


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"a","inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}',
        b'{"inputs":[{"name":"x","shape":[1,3],"data":[1,2,3],"datatype":"FP32"}]}',
        b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[9],"data":[1,2,3]}]}',
        b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data" :[1,2,3]}]}',
        b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","d\\u0061ta":[1,2,3]}]}',
        b'{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}],"id":"a"}',
        b'{"inputs":[{"parameters":{},"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2,3]}]}',
    ],
)
def test_other_bodies_are_read_but_have_no_template(wire: Any, body: bytes) -> None:
    json.decode(body, wire)
    assert text_template.learn(body, wire) is None
    assert text_template.learn(body, wire) is None
    assert text_template.read(body, wire) is None
    assert not any(wire.body_templates.values())


@pytest.mark.parametrize(
    ("before", "data"),
    [
        (b'"d\\u0061ta":[9,9,9],', b"[1,2,3]"),
        (b'"data":[9,9,9],"d\\u0061ta":[8,8,8],', b"[1,2,3]"),
        (b'"shape":[7],', b"[1,2,3]"),
    ],
)
def test_of_a_key_that_comes_twice_the_last_counts(wire: Any, before: bytes, data: bytes) -> None:
    body = b'{"inputs":[{%b"name":"x","shape":[1,3],"datatype":"FP32","data":%b}]}' % (before, data)
    for _ in range(3):
        assert remembered(body, wire) == plain(body, wire)
        assert remembered(body.replace(data, b"[4,5,6]"), wire) == plain(
            body.replace(data, b"[4,5,6]"), wire
        )


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=14),
    st.sampled_from([b"}]}", b"}]} ", b"}]}}"]),
    st.sampled_from([0, 1 << 20]),
)
@example([b"[", b"1", b"]", b"}", b",", b"{"], b"}]}", 0)
def test_a_known_template_changes_no_answer(
    wire_of: Any, pieces: list[bytes], closing: bytes, fast_from: int
) -> None:
    wire = wire_of(("x", "FP32", (-1, 3)))
    text_template.learn(OPENING + b"[1,2,3,4,5,6]}]}", wire)
    assert wire.body_templates
    body = OPENING + b"".join(pieces) + closing
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_template, "MIN_FAST_LIST", fast_from)
        assert remembered(body, wire) == plain(body, wire)


@settings(deadline=None)
@given(st.binary(max_size=12), st.integers(0, len(OPENING) + 20), st.booleans())
def test_a_damaged_body_means_the_same_before_and_after_learning(
    wire_of: Any, noise: bytes, at: int, replace: bool
) -> None:
    wire = wire_of(("x", "FP32", (-1, 3)))
    good = OPENING + b"[1,2,3,4,5,6]}]}"
    body = good[:at] + noise + good[at + (len(noise) if replace else 0) :]
    expected = plain(body, wire)
    assert remembered(body, wire) == expected
    assert remembered(body, wire) == expected
    assert remembered(good, wire) == plain(good, wire)


def test_remembered_templates_are_bounded(wire: Any) -> None:
    for rows in range(1, text_template.MAX_TEMPLATES * 2):
        tensor = {"name": "x", "shape": [rows, 3], "datatype": "FP32", "data": [1] * rows * 3}
        text_template.learn(orjson.dumps({"inputs": [tensor]}), wire)
    assert 0 < len(wire.body_templates) <= text_template.MAX_TEMPLATES


def test_a_body_of_a_known_template_is_not_validated_again(wire: Any) -> None:
    """What makes it fast: were the plain way taken, the doctored template would not be seen."""
    template = text_template.learn(OPENING + b"[1,2,3,4,5,6]}]}", wire)
    assert template is not None
    template.rows = 77
    request = text_template.read(OPENING + b"[1,2,3,4,5,7]}]}", wire)
    assert request is not None
    assert request.rows == 77


def test_the_template_of_a_long_list_is_learnt(wire_of: Any) -> None:
    wire = wire_of(("x", "FP32", (-1, 1024)))
    long = orjson.dumps([number / 4 for number in range(1024)])
    body = b'{"inputs":[{"name":"x","shape":[1,1024],"datatype":"FP32","data":%b}]}'
    assert remembered(body % long, wire) == plain(body % long, wire)
    assert len(wire.body_templates) == 1
    other = long.replace(b"1", b"7")
    assert text_template.read(body % other, wire) is not None
    assert remembered(body % other, wire) == plain(body % other, wire)
    twice = body % (long + b',"data":' + long)
    assert remembered(twice, wire) == plain(twice, wire)
    assert text_template.read(twice, wire) is None


@pytest.mark.parametrize("depth", range(1018, 1027))
def test_lists_nested_to_the_limit_of_the_parser_earn_the_same_error(wire: Any, depth: int) -> None:
    """Within a body the limit is reached earlier than in a list by itself."""
    body = OPENING + b"[1,2,3,4,5,6]}]}"
    assert remembered(body, wire) == plain(body, wire)
    deep = OPENING + b"[" * depth + b"]" * depth + b"}]}"
    assert remembered(deep, wire) == plain(deep, wire)
