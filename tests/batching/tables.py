"""Ideal tables of what runs cost."""

from __future__ import annotations

from penstock.batching.cost import CostTable, knots_up_to


def linear_table(base_seconds: float, row_seconds: float, max_batch_size: int) -> CostTable:
    """The table of ``t(b) = base + row * b``."""
    sizes = knots_up_to(max_batch_size)
    return CostTable(tuple(sizes), tuple(base_seconds + row_seconds * size for size in sizes))
