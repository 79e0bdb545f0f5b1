"""How much the windows of a healthy feature vary, beside independent rows. Pure.

Traffic has a day and a week, and rows of one client are alike: windows vary more than chance alone
would have it. The first windows are compared with the sum of the others among them, not with the
baseline, so that a shift that is there from the beginning is not taken for variation. By how much
the median of their statistics is too large is the dispersion; it grows with the rows of a window.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.monitoring.probability import chi_square_upper_quantile

from .sample_comparison import compare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Windows below which nothing is learnt.
LEAST_WINDOWS: Final = 8


def excess(windows: Sequence[NDArray[np.int64]], exceptional: Sequence[bool]) -> float:
    """Dispersion above 1 for each effective row; 0 if the windows vary as chance has it.

    Args:
        windows: Counts of each, over the same bins.
        exceptional: Which bins hold what should not be there.
    """
    if len(windows) < LEAST_WINDOWS:
        return 0.0
    total = np.sum(windows, axis=0)
    ratios, sizes = [], []
    for counts in windows:
        found = compare((total - counts).tolist(), counts.tolist(), exceptional)
        if found.degrees:
            ratios.append(found.statistic / chi_square_upper_quantile(0.5, found.degrees))
            sizes.append(found.effective_rows)
    if not ratios:
        return 0.0
    return max(0.0, median(ratios) - 1.0) / median(sizes)


def dispersion(excess_per_row: float, effective_rows: float) -> float:
    """By what the statistic of a window this large is divided."""
    return 1.0 + excess_per_row * effective_rows
