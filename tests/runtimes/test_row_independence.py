from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from penstock.runtimes.row_independence import deviation

nan, inf = math.nan, math.inf


def floats(*values: float) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("actual", "expected", "off"),
    [
        (floats(1, 2), floats(1, 2), 0.0),
        (floats(1, 3), floats(1, 4), 0.25),
        (floats(), floats(), 0.0),
        (floats(1).reshape(1, 1), floats(1), inf),
        (np.array([1.0]), floats(1), inf),
        (floats(nan, 1), floats(nan, 1), 0.0),
        (floats(nan, 1), floats(1, nan), inf),
        (floats(nan), floats(1), inf),
        (floats(inf, -inf), floats(inf, -inf), 0.0),
        (floats(inf, 1), floats(-inf, 1), inf),
        (floats(inf, 1.5), floats(inf, 1), 0.5),
        (floats(1e-30), floats(0), inf),
        (floats(6e4).astype(np.float16), floats(-6e4).astype(np.float16), 2.0),
        (np.array([1, 2]), np.array([1, 2]), 0.0),
        (np.array([1, 2]), np.array([1, 3]), inf),
        (np.array([b"a"], object), np.array([b"a"], object), 0.0),
        (np.array([b"a"], object), np.array([b"b"], object), inf),
        (np.array(2.0), np.array(4.0), 0.5),
    ],
)
def test_deviation(
    actual: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], off: float
) -> None:
    assert deviation(actual, expected) == pytest.approx(off, abs=1e-3)
