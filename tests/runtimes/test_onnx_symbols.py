"""Inputs that differ in a dimension that the model gives one name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from penstock.runtimes.contract import ModelExecutionError, UnsuitableInput

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def pair(load_graph: Callable[..., Any]) -> Any:
    return load_graph(
        [("Mul", ["ids", "mask"], ["y"])],
        [("ids", "FLOAT", ["batch", "seq"]), ("mask", "FLOAT", ["batch", "seq"])],
        [("y", "FLOAT", ["batch", "seq"])],
    )


def test_the_error_names_inputs_sizes_and_dimension(pair: Any) -> None:
    ids, mask = np.ones((1, 3), np.float32), np.ones((1, 4), np.float32)
    with pytest.raises(
        UnsuitableInput, match=r"'seq', which .* the request has 'ids' \[1, 3\], 'mask' \[1, 4\]"
    ):
        pair.execute([ids, mask], ["y"])


def test_what_onnxruntime_answers_is_answered(pair: Any) -> None:
    ids, mask = np.ones((1, 3), np.float32), np.full((1, 1), 2, np.float32)
    assert pair.execute([ids, mask], ["y"])[0].tolist() == [[2, 2, 2]]


def test_a_failure_of_inputs_that_agree_is_not_put_down_to_them(
    load_graph: Callable[..., Any],
) -> None:
    model = load_graph(
        [("Gather", ["ids", "at"], ["y"], {"axis": 1}), ("Neg", ["mask"], ["z"])],
        [("ids", "FLOAT", ["n", "seq"]), ("mask", "FLOAT", ["n", "seq"]), ("at", "INT64", ["n"])],
        [("y", "FLOAT", None), ("z", "FLOAT", ["n", "seq"])],
    )
    one = np.ones((1, 3), np.float32)
    with pytest.raises(ModelExecutionError) as caught:
        model.execute([one, one, np.array([9])], ["y"])
    assert not isinstance(caught.value, UnsuitableInput)
