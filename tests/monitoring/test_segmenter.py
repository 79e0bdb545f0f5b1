"""The monitor finds the segments of rows, from the worker's frames on; names outlive it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.monitoring.metrics.derived import names_of
from penstock.monitoring.samples.run_sample import Origin, RunSample
from penstock.monitoring.samples.sample_frames import FrameWriter
from penstock.monitoring.samples.sample_reader import decode
from penstock.monitoring.samples.segmenter import Segmenter
from penstock.monitoring.segments.field import MISSING, OTHER, SegmentField

FIELDS = (SegmentField("country", "country"), SegmentField("tier", "x", 1))


def sample(countries, tiers, origin=None):
    """As the monitor gets it from a worker."""
    rows = len(countries)
    texts = np.empty((rows, 1), object)
    texts[:, 0] = countries
    x = np.stack([np.zeros(rows), np.asarray(tiers, float)], axis=1).astype(np.float32)
    origin = origin or Origin("m", "3", ("country", "x"), None, FIELDS)
    ids = [b"%d" % n for n in range(rows)]
    inputs = [texts, x]
    writer = FrameWriter(1.0)
    writer.write(
        RunSample(origin, ("y",), 1.0, 1.0, rows, ids, [0.5] * rows, None, None, inputs, [x[:, :1]])
    )
    (found,) = decode(writer.finish()[1])
    return found


def names(found):
    return {one.field: [one.names[code] for code in one.codes] for one in found.segments}


def test_each_row_has_its_segments():
    tiers = [1, 2.5, np.nan, np.nan]
    (found,) = Segmenter().extend([sample([b"CH", b"DE", b"", b"CH"], tiers)])
    assert names(found) == {
        "country": ["CH", "DE", MISSING, "CH"],
        "tier": ["1", OTHER, MISSING, MISSING],
    }
    assert names(found.only([3, 1]))["country"] == ["CH", "DE"]


def test_samples_without_declared_fields_pass_as_they_are():
    plain = [sample([b"CH"], [1], Origin("m", "3", ("country", "x")))]
    assert Segmenter().extend(plain) is plain


def test_rows_whose_input_is_not_there_are_missing():
    origin = Origin("m", "3", ("country", "x"), None, (SegmentField("plan", "plan"),))
    (found,) = Segmenter().extend([sample([b"CH", b"DE"], [1, 1], origin)])
    assert names(found) == {"plan": [MISSING, MISSING]}


def test_rows_too_large_to_travel_are_in_no_segment():
    """Their input is not missing; but nobody here knows its values."""
    fields = (SegmentField("country", "country"), SegmentField("x[3]", "x", 3))
    names_sent = ("country", *names_of("x"))
    plain = sample([b"CH", b"DE"], [1, 1], Origin("m", "3", ("country", "x"), None, fields))
    figures = [np.zeros(2, np.float32)] * len(names_of("x"))
    large = replace(plain, input_names=names_sent, inputs=[plain.inputs[0], *figures])
    (found,) = Segmenter().extend([large])
    assert names(found) == {"country": ["CH", "DE"]}


def test_all_rows_of_a_request_are_in_the_segment_of_its_header():
    fields = (SegmentField("header:x-plan", ""), FIELDS[0], SegmentField("header:x-team", ""))
    origin = Origin("m", "3", ("country",), None, fields)
    writer = FrameWriter(1.0)
    for number, (plans, arms) in enumerate(
        [(("gold", "free"), None), ((MISSING, "gold"), ("canary", "stable"))]
    ):
        texts = np.array([[b"CH"], [b"DE"], [b"CH"]], object)
        ids = [b"%d-%d" % (number, one) for one in range(2)]
        teams = [f"t{number}"] * 2
        run = RunSample(
            origin, ("y",), 1.0, 1.0, 3, ids, [0.5] * 2, [0, 2], arms, [texts], [texts],
            [list(plans), teams],
        )  # fmt: skip
        writer.write(run)
        assert writer.layouts == {}  # rows alone do not tell their header
        assert run.only([1]).header_segments == [[plans[1]], teams[:1]]
    found = Segmenter().extend(decode(writer.finish()[1]))
    assert {one.arm: names(one) for one in found} == {
        "": {
            "header:x-plan": ["gold", "gold", "free"],
            "country": ["CH", "DE", "CH"],
            "header:x-team": ["t0", "t0", "t0"],
        },
        "canary": {
            "header:x-plan": [MISSING, MISSING],
            "country": ["CH", "DE"],
            "header:x-team": ["t1", "t1"],
        },
        "stable": {
            "header:x-plan": ["gold"],
            "country": ["CH"],
            "header:x-team": ["t1"],
        },
    }


def test_names_keep_their_codes_over_a_restart(tmp_path):
    path = tmp_path / "segments.json"
    (before,) = Segmenter(path).extend([sample([b"CH", b"DE"], [1, 2])])
    (after,) = Segmenter(path).extend([sample([b"DE", b"AT"], [2, 3])])
    assert after.segments[0].codes[0] == before.segments[0].codes[1]
    assert names(after)["country"] == ["DE", "AT"]


@pytest.mark.parametrize("content", ["", "[1]", '[["m"]]', "{", '{"a": 1}'])
def test_a_damaged_file_of_names_is_begun_anew(tmp_path, content, caplog):
    path = tmp_path / "segments.json"
    path.write_text(content)
    (found,) = Segmenter(path).extend([sample([b"CH"], [1])])
    assert names(found)["country"] == ["CH"]
    assert "cannot be read" in caplog.text
