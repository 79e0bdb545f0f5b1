"""Plain values as types: whatever the format, an error names source, place, value and wish."""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003  msgspec reads the annotations
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.monitoring.files.decoding import (
    ContentError,
    convert,
    decode_json,
    pack,
    read_json,
    unpack,
)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Span(float):
    """Seconds, written as ``5s``."""

    expected = "a time such as '5s'"

    @classmethod
    def parse(cls, content):
        if not isinstance(content, str) or not content.endswith("s"):
            raise ValueError("no time")
        return cls(content[:-1])


@dataclass(frozen=True, slots=True)
class Inner:
    number: Annotated[int, msgspec.Meta(ge=0, le=5)]
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    share: float | None = None

    def __post_init__(self):
        if self.number == 3:
            raise ValueError("number is 3, which is taken")


@dataclass(frozen=True, slots=True)
class Outer:
    colour: Colour
    inner: tuple[Inner, ...] = ()
    path: Path | None = None
    pair: tuple[int, str] = (1, "")
    word: Literal["x", "y"] = "x"
    either: int | str = 0
    versions: frozenset[int] = frozenset()
    one: Inner | None = None
    above: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    span: Span = field(default_factory=lambda: Span(1.0))


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    steps: Annotated[list[float], msgspec.Meta(min_length=1, description="a list of percentages")]


def outer(**content):
    return {"colour": "red", **content}


WRONG = [
    (3, "it is 3, expected an object"),
    ({}, "colour is missing"),
    ({"colour": "green"}, "colour is 'green', expected one of red, blue"),
    ({"colour": [1]}, "colour is [1], expected one of red, blue"),
    (outer(inner=3), "inner is 3, expected a list"),
    (outer(inner=[{"number": 1}, 2]), "inner[1] is 2, expected an object"),
    (
        outer(inner=[{"number": 1}, {"number": 6}]),
        "inner[1].number is 6, expected a whole number from 0 to 5",
    ),
    (outer(inner=[{"number": 3}]), "inner[0]: number is 3, which is taken"),
    (outer(inner=[{}]), "inner[0].number is missing"),
    (
        outer(one={"number": True}),
        "one.number is True, expected a whole number from 0 to 5",
    ),
    (outer(one=3), "one is 3, expected an object or null"),
    (
        outer(inner=[{"number": 1, "sizes": {"a": [1], "b": [1, "x"]}}]),
        "inner[0].sizes.b[1] is 'x', expected a whole number",
    ),
    (outer(path=3), "path is 3, expected a path or null"),
    (outer(pair=[1, 2, 3]), "pair is [1, 2, 3], expected a list of 2 values"),
    (outer(pair=[1, 2]), "pair[1] is 2, expected a text"),
    (outer(word="z"), "word is 'z', expected one of x, y"),
    (outer(either=1.5), "either is 1.5, expected a whole number or a text"),
    (outer(versions=["1"]), "versions[0] is '1', expected a whole number"),
    (outer(above=0), "above is 0, expected a number, more than 0"),
    (outer(span="5m"), "span is '5m', expected a time such as '5s'"),
]


@pytest.mark.parametrize(("content", "complaint"), WRONG)
def test_an_error_names_source_place_value_and_wish(content, complaint):
    with pytest.raises(ContentError) as caught:
        convert(Outer, content, "a.json")
    assert str(caught.value) == f"a.json: {complaint}"
    with pytest.raises(ContentError) as caught:
        read_json(Outer, json.dumps(content).encode(), "a.json")
    assert str(caught.value) == f"a.json: {complaint}"
    with pytest.raises(ContentError) as caught:
        unpack(Outer, msgspec.msgpack.encode(content), "a.msgpack")
    assert str(caught.value) == f"a.msgpack: {complaint}"


def test_a_place_stands_before_the_places_in_it():
    with pytest.raises(ValueError, match=r"^m: rollout\.inner\[0\]\.number is missing$"):
        convert(Outer, outer(inner=[{}]), "m", "rollout")


def test_a_key_that_nobody_knows_is_refused_with_the_nearest_one():
    content = outer(inner=[{"number": 1, "sizs": {}}])
    assert convert(Outer, content, "x").inner == (Inner(1),)
    with pytest.raises(ContentError, match=r"unknown key inner\[0\].sizs; did you mean sizes\?"):
        convert(Outer, content, "x", closed=True)
    with pytest.raises(ContentError, match=r"unknown key stepz; did you mean steps\?"):
        convert(Closed, {"stepz": [1]}, "x")
    with pytest.raises(ContentError, match="unknown key a; expected one of steps"):
        convert(Closed, {"steps": [1], "a": 1}, "x")


def test_the_words_of_a_field_are_its_own():
    with pytest.raises(ContentError, match=r"steps is \[\], expected a list of percentages"):
        convert(Closed, {"steps": []}, "x")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused_wherever_it_is(number):
    with pytest.raises(ContentError, match=r"one\.share is .*, expected a finite number"):
        convert(Outer, outer(one={"number": 1, "share": number}), "x", finite=True)
    with pytest.raises(ContentError, match=r"unheard\[0\] is .*, expected a finite number"):
        convert(Outer, outer(unheard=[number]), "x", finite=True)


def test_what_is_long_or_deep_is_refused_in_a_few_words():
    deep = 0
    for _ in range(100_000):
        deep = [deep]
    for content in (outer(above=10**5000), outer(word="z" * 10_000), outer(colour=deep)):
        with pytest.raises(ContentError) as caught:
            convert(Outer, content, "x")
        assert len(str(caught.value)) < 300
    with pytest.raises(ContentError, match="nested too deeply"):
        unpack(Outer, b"\x91" * 100_000, "x")
    with pytest.raises(ContentError, match="not valid msgpack"):
        unpack(Outer, b"\xc1", "x")


inner = st.builds(
    Inner,
    st.sampled_from([0, 1, 2, 4, 5]),
    st.dictionaries(st.text(max_size=3), st.lists(st.integers(0, 9), max_size=3).map(tuple)),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
outers = st.builds(
    Outer,
    st.sampled_from(Colour),
    st.lists(inner, max_size=3).map(tuple),
    st.none() | st.just(Path("/a/b")),
    st.tuples(st.integers(-(2**63), 2**63 - 1), st.text()),
    st.sampled_from(["x", "y"]),
    st.integers(0, 9) | st.text(),
    st.frozensets(st.integers(0, 9)),
    st.none() | inner,
    span=st.just(Span(1.0)),
)


@given(outers)
def test_what_is_written_comes_back(value):
    packed = msgspec.msgpack.decode(pack(value))
    packed["span"] = "1s"
    assert unpack(Outer, msgspec.msgpack.encode(packed), "x") == value
    assert convert(Outer, packed, "x", closed=True) == value


def test_only_what_can_come_back_is_written():
    assert unpack(list[float], pack([np.float64(1.5), Span(2.0)]), "x") == [1.5, 2.0]
    with pytest.raises(TypeError, match="int64 cannot be written as msgpack"):
        pack({"a": np.int64(1)})


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_characters="`", codec="utf-8"), max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["colour", "inner", "number", "sizes", "pair", "one", "share", "z"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_whatever_is_refused_is_explained(content):
    """The words come from msgspec, which has backticks, only where a type checks itself."""
    for closed in (False, True):
        try:
            convert(Outer, content, "x", closed=closed)
        except ContentError as error:
            text = str(error)
            assert "`" not in text
            assert any(
                word in text for word in (", expected ", " is missing", "unknown key", "taken")
            )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": ' + "[" * 200_000, "nested too deeply"),
        ('{"a": ' + "9" * 5_000 + "}", "5000 digits, expected one of 64 bits"),
        ('{"a": 1' + "0" * 400 + "}", "401 digits, expected one of 64 bits"),
        ('{"a": 1e999}', "too large for a number of 64 bits"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"\\uDFFF": 1}', "half of a surrogate pair"),
        ("[]", r"it is \[\], expected an object"),
        ("\xff", "not valid JSON"),
        ("", "not valid JSON"),
    ],
)
def test_json_that_nothing_can_carry_is_refused(text, reason):
    with pytest.raises(ContentError, match=reason) as caught:
        read_json(dict[str, Any], text.encode("latin-1"), "a.json")
    assert str(caught.value).startswith("a.json: ")
    assert len(str(caught.value)) < 500


def test_json_that_is_valid_is_read_as_it_is():
    text = b'{"a": 18446744073709551615, "b": -1.5e3, "c": "\\u00e4"}'
    assert decode_json(text, "x") == {"a": 2**64 - 1, "b": -1500.0, "c": "ä"}


def test_what_this_server_wrote_is_read_whatever_it_holds():
    text = b'{"a": "\\ud800", "b": 1' + b"0" * 400 + b"}"
    assert decode_json(text, "x", own=True) == {"a": "\ud800", "b": 10**400}
    with pytest.raises(ContentError, match="401 digits, expected one of 64 bits"):
        decode_json(text, "x")
