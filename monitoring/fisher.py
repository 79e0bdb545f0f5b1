"""Fisher's exact test, without SciPy."""

from __future__ import annotations

import math
from typing import Final

#: Terms that are so small beside the sum change nothing.
_NEGLIGIBLE: Final = 1e-12


def exact_tail(number: int, hits: int, drawn: int, rows: int) -> float:
    """Probability of at least `number` hits among rows drawn without replacement (Fisher's test).

    Args:
        number: Of hits.
        hits: Among all rows.
        drawn: Rows.
        rows: All of them.
    """
    most = min(hits, drawn)
    if number <= max(0, drawn + hits - rows):
        return 1.0
    if number > most:
        return 0.0
    others = rows - hits
    if number * rows <= hits * drawn:  # the first term may be 0 in floating point: the other tail
        return 1.0 - exact_tail(drawn - number + 1, others, drawn, rows)
    lgamma = math.lgamma
    term = math.exp(
        lgamma(hits + 1) - lgamma(number + 1) - lgamma(hits - number + 1)
        + lgamma(others + 1) - lgamma(drawn - number + 1) - lgamma(others - drawn + number + 1)
        - lgamma(rows + 1) + lgamma(drawn + 1) + lgamma(rows - drawn + 1)
    )  # fmt: skip
    total = term
    for one in range(number, most):
        term *= (hits - one) * (drawn - one) / ((one + 1) * (others - drawn + one + 1))
        total += term
        if term <= total * _NEGLIGIBLE:  # both are 0 where the tail is too small for a float
            break
    return min(1.0, total)
