"""How long a run may take."""

from __future__ import annotations

import pytest

from penstock.runtimes.contract import VARIABLE, Signature, TensorSpec
from penstock.server.config.size_limits import run_limit_seconds
from penstock.server.loading.loads import runs_are_bounded


@pytest.mark.parametrize(
    ("asked", "slowest", "limit"),
    [
        (None, 50e-6, 8),  # fast
        (None, 0.25, 25),  # not so fast
        (None, 1.0, 60),
        (None, 10.0, 200),  # slow by itself
        (None, None, 60),  # a request may be much larger than what was measured
        (3.0, 1.0, 3.0),  # the owner's word
        (600.0, 50e-6, 600.0),
    ],
)
def test_a_run_may_take_as_long_as_its_owner_says_or_much_longer_than_measured(
    asked, slowest, limit
):
    assert run_limit_seconds(asked, slowest) == limit


@pytest.mark.parametrize(
    ("datatype", "shape", "batch_axis", "bounded"),
    [
        ("FP32", (VARIABLE, 4), True, True),
        ("FP32", (VARIABLE, 4), False, False),
        ("FP32", (VARIABLE, VARIABLE), True, False),
        ("INT64", (1, 1), False, True),
        ("BYTES", (1, 1), False, False),
    ],
)
def test_a_measurement_bounds_runs_of_inputs_that_cannot_grow(datatype, shape, batch_axis, bounded):
    signature = Signature((TensorSpec("x", datatype, shape),), (), batch_axis)
    assert runs_are_bounded(signature) is bounded
