"""Declared segments are read from requests, or refused with what to do."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.samples.privacy import Privacy, hash_value
from penstock.monitoring.segments.field import MISSING, SegmentField
from penstock.runtimes.contract import Column, ModelLoadError, Signature, TensorSpec
from penstock.server.codecs.signature import WireSignature
from penstock.server.inference.head import read_head
from penstock.server.serving.sample_origin import origin_of
from penstock.server.serving.segment_rules import declare_segments
from penstock.server.serving.servable import Servable

SIGNATURE = Signature(
    (
        TensorSpec("x", "FP32", (-1, 3), columns=(Column("age"), Column("level"), Column("new"))),
        TensorSpec("country", "BYTES", (-1, 1)),
        TensorSpec("customer", "BYTES", (-1,)),
        TensorSpec("picture", "FP32", (-1, -1)),
        TensorSpec("plan", "INT64", (-1, 1), optional=True),
    ),
    (TensorSpec("y", "FP32", (-1, 1)),),
    batch_axis=True,
)
FEATURES = ("age", "tier", "is_new")
KEY = b"k" * 32


@pytest.fixture
def servable():
    wire = WireSignature(SIGNATURE, "m", "1")
    counters = CounterFile.anonymous().model("m", "1")
    origin = origin_of("m", "1", wire.signature)
    return Servable("m", "1", "test", object(), wire, counters, origin)


def texts(*values):
    array = np.empty((len(values), 1), object)
    array[:, 0] = values
    return array


INPUTS = [
    np.array([[41, 2, 1], [20, 3, 0]], np.float32),
    texts(b"CH", b"DE"),
    np.array([b"ann", b"bob"], object),
    None,
    np.array([[7], [8]]),
]
HEAD = read_head("m", None, ((b"x-plan", b"gold"), (b"x-plan", b"free"), (b"x-raw", b"\xff\x01")))


def test_a_request_is_in_the_segment_of_its_first_row(servable):
    declare_segments(servable, ["country", "tier", "x[0]", "new"], FEATURES, "")
    read = {name: one.name(INPUTS, HEAD) for name, one in servable.segments.items()}
    assert read == {"country": "CH", "tier": "2", "x[0]": "41", "new": "1"}
    assert servable.origin.segment_fields == (
        SegmentField("country", "country"),
        SegmentField("tier", "x", 1),
        SegmentField("x[0]", "x", 0),
        SegmentField("new", "x", 2),
    )
    declare_segments(servable, ["plan"], (), "")
    assert servable.segments["plan"].name(INPUTS, HEAD) == "7"
    left_out = [*INPUTS[:4], None]
    assert servable.segments["plan"].name(left_out, HEAD) == MISSING


def test_a_request_is_in_the_segment_of_its_header(servable):
    servable.keep_private(Privacy(frozenset(), frozenset({"country"}), KEY))
    names = ["header:x-plan", "country", "header:x-team", "header:x-raw"]
    declare_segments(servable, names, (), "")
    read = {name: one.name(INPUTS, HEAD) for name, one in servable.segments.items()}
    assert read["header:x-plan"] == "gold"
    assert read["header:x-team"] == MISSING
    assert read["header:x-raw"].startswith("?~")
    assert [one.of(HEAD) for one in servable.header_segments] == [
        read[name] for name in names if name != "country"
    ]
    assert servable.origin.segment_fields[0] == SegmentField("header:x-plan", "")


def test_a_hashed_input_is_named_by_its_hash_as_in_the_log(servable):
    servable.keep_private(Privacy(frozenset(), frozenset({"country"}), KEY))
    declare_segments(servable, ["country"], (), "customer")
    name = servable.segments["country"].name(INPUTS, HEAD)
    assert name == hash_value(INPUTS[1][0], KEY).decode()
    assert "CH" not in name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "land",
            "'land' is no input of this version; known are x, country, customer, picture, plan",
        ),
        ("x", "input 'x' has 3 elements a row, expected one; name one of them, such as 'x[0]'"),
        ("x[3]", "'x[3]' is no input"),
        ("picture", "an open number of elements"),
        ("customer", "log.subject, which names persons"),
        ("country", "in log.drop, so that nobody may see its values; put it into log.hash"),
        ("tier", "in log.hash, which hashes its 3 elements together"),
    ],
)
def test_what_cannot_be_a_segment_is_refused(servable, name, message):
    privacy = Privacy(frozenset({"country"}), frozenset({"x"}), KEY)
    if name in {"country", "tier"}:
        servable.keep_private(privacy)
    with pytest.raises(ModelLoadError) as raised:
        declare_segments(servable, [name], FEATURES, "customer")
    assert message in str(raised.value)


def test_what_is_refused_later_ends_the_segments_of_before(servable):
    declare_segments(servable, ["country"], (), "")
    servable.keep_private(Privacy(frozenset({"country"}), frozenset(), KEY))
    with pytest.raises(ModelLoadError):
        declare_segments(servable, ["country"], (), "")
    assert not servable.segments
    assert not servable.origin.segment_fields
