"""Scores of the rows of a column, with mean 0 and variance 1, to be correlated. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.monitoring.probability import normal_quantiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Rows that must have a category, and that must not, for its correlations to mean something.
LEAST_HITS: Final = 5.0


def normal_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal scores of the ranks, standardised; equal values have the mean of their ranks.

    Args:
        values: One axis; what is not finite is left out.

    Returns:
        NaN where there is no score; everywhere if all values are equal.
    """
    there = np.isfinite(values)
    scores = np.full(len(values), np.nan)
    finite = values[there]
    order = finite.argsort()
    ascending = finite[order]
    ends = np.append(np.flatnonzero(ascending[1:] != ascending[:-1]) + 1, len(finite))
    if len(ends) > 1:
        counts = np.diff(ends, prepend=0)
        quantiles = normal_quantiles((ends - counts / 2) / len(finite))
        finite[order] = np.repeat(quantiles, counts)
        scores[there] = _standardised(finite)
    return scores


def category_scores(values: NDArray[np.float64], place: int) -> tuple[NDArray[np.float64], float]:
    """Standardised hits of one category, and its share or that of all others.

    Args:
        values: As `RowSample` has categories; NaN is missing.
        place: Of the category among the bins.
    """
    there = np.isfinite(values)
    hits = np.where(there, np.floor(values) == place, np.nan)
    share = float(hits[there].mean()) if there.any() else 0.0
    share = min(share, 1 - share)
    if share * np.count_nonzero(there) < LEAST_HITS:
        return np.full(len(values), np.nan), 0.5
    hits[there] = _standardised(hits[there])
    return hits, share


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values = values - values.mean()
    spread = float(np.sqrt((values * values).mean()))
    return values / spread if spread > 1e-9 else np.full(len(values), np.nan)  # noqa: PLR2004
