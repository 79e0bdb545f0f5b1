"""Plug-ins that make features: real distributions, and ones that misbehave."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from penstock.monitoring.samples.featurizers import GROUP, Featurizers
from penstock.monitoring.samples.samples import BatchSample

SAMPLE = BatchSample(
    model="m",
    version="1",
    time=5.0,
    request_ids=[b"a", b"b"],
    offsets=range(3),
    statuses=[200, 200],
    latencies=[0.1, 0.1],
    input_names=("text", "gone"),
    inputs=[np.array([b"one", b"three"], dtype=object), None],
    output_names=(),
    outputs=(),
    times=[5.0, 5.0],
)


class Lengths:
    def names(self, model, tensor, dtype, shape):
        return ("length",) if (tensor, dtype, shape) == ("text", "object", ()) else ()

    def features(self, rows):
        return np.array([[len(one)] for one in rows])


class Short(Lengths):
    def features(self, rows):
        return np.zeros((1, 1))


class Broken(Lengths):
    calls = 0

    def features(self, rows):
        Broken.calls += 1
        raise RuntimeError("no")


class Leaving(Lengths):
    def features(self, rows):
        raise SystemExit(1)


def test_features_are_inputs_of_their_own():
    (found,) = Featurizers({"lengths": Lengths()}).extend([SAMPLE])
    assert found.input_names == ("text", "gone", "text.length")
    assert found.featured == ("text.length",)
    assert found.inputs[2].tolist() == [3, 5]
    assert found.inputs[:2] == SAMPLE.inputs


@pytest.mark.parametrize("bad", [Short(), Broken(), Leaving()])
def test_a_plugin_that_fails_is_left_out_and_the_others_go_on(bad):
    Broken.calls = 0
    featurizers = Featurizers({"bad": bad, "lengths": Lengths()})
    for _ in range(3):
        (found,) = featurizers.extend([replace(SAMPLE)])
        assert found.input_names == ("text", "gone", "text.length")
    assert Broken.calls <= 1


def test_without_plugins_nothing_is_done():
    samples = [SAMPLE]
    assert Featurizers({}).extend(samples) is samples


def test_plugins_are_found_by_entry_point(tmp_path, monkeypatch):
    info = tmp_path / "penstock_lengths-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: penstock-lengths\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{GROUP}]\nlengths={__name__}:Lengths\nabsent={__name__}:Absent\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    (found,) = Featurizers.installed().extend([SAMPLE])
    assert found.input_names[2:] == ("text.length",)
