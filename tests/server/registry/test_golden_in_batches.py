"""Golden requests in batches, where rows share runs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from onnx import helper

from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.onnx import OnnxRuntime
from penstock.server.loading.acceptance_check import check_acceptance
from penstock.server.loading.golden_examples import Example, Examples
from penstock.server.loading.golden_in_batches import batched_mismatches

ROWS = [[[1, 2]], [[3, -4]], [[0.5, 0.25], [7, 8]]]


@pytest.fixture
def load(version, onnx_model):
    def loaded(operator, **attributes):
        node = helper.make_node(operator, ["x"], ["y"], **attributes)
        (version / "model.onnx").write_bytes(onnx_model([node]).SerializeToString())
        settings = {"batch_axis": True}
        return OnnxRuntime().load(version / "model.onnx", LoadOptions(settings=settings))

    return loaded


def golden(model, expected=None):
    width = model.signature.inputs[0].shape[1:]
    rows = [np.resize(np.array(one, np.float32), (len(one), *width)) for one in ROWS]
    return Examples(tuple(Example([one], expected or {}) for one in rows))


def test_rows_that_meet_are_told_with_the_number_of_the_request(load):
    model = load("Softmax", axis=0)
    found = batched_mismatches(model, golden(model), 64)
    assert found[0].startswith("golden request 1 in a batch: output 'y' is ")
    assert "alone it is" in found[0]
    assert "batch_axis = true must not be set" in found[-1]


def test_rows_that_stay_apart_are_no_reason(load):
    model = load("Neg")
    assert batched_mismatches(model, golden(model), 64) == []
    assert batched_mismatches(model, golden(model), 1) == []


def test_a_declared_batch_axis_is_refused_if_golden_requests_show_otherwise(load, version):
    model = load("Softmax", axis=0)
    width = model.signature.inputs[0].shape[1:]
    size = int(np.prod(width))
    request = {"name": "x", "datatype": "FP32", "shape": [1, *width], "data": [1.0] * size}
    (version / "examples.json").write_text(json.dumps({"examples": [{"inputs": [request]}]}))
    _, reasons = check_acceptance(model, model.signature, version, None, None)
    assert any("in a batch" in reason for reason in reasons)
