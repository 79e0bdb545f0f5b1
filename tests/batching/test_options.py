from __future__ import annotations

import pytest

from penstock.batching.options import BatchingOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_batch_size": 0},
        {"max_queue_rows": 0},
        {"slo_seconds": 0.0},
        {"slo_seconds": float("nan")},
        {"weight": -1.0},
        {"max_queue_seconds": 0.0},
        {"max_hold_seconds": -0.1},
        {"priority": -1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_value_out_of_range_is_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BatchingOptions(**wrong)


def test_priority_0_is_the_default_as_in_triton():
    assert BatchingOptions(priority=0).urgency == BatchingOptions().urgency == 1
