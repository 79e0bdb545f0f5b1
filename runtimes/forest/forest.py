"""The nodes of all trees of a model in a few arrays, laid out for a fast walk.

Values are compared as whole numbers: the bits of two floats, read as integers, have the order of
the floats, once those of negative numbers are turned around (`order_keys`). A row has two such
numbers for each column, and they differ where the value is missing: the first one is less than
every bound, the second one greater. So a node says by the place that it reads where a missing value
goes, and a walk needs no branch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array

#: Trees that are walked at once.
BLOCK_TREES: Final = 8
#: A node has 16 bits for a place in a row, and 16 for the way to its left child.
_BITS: Final = 16
MAX_COLUMNS: Final = ((1 << _BITS) - 1) // 2
_MAX_WAY: Final = (1 << _BITS) - 1
MAX_NODES: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree, as its file has it. Each array has an entry for each node; node 0 is the root.

    Attributes:
        left: Left child; -1 for a leaf.
        right: Right child; -1 for a leaf.
        column: The column of a row that the node compares.
        bound: The row goes left if its value is less, and right if it is greater. Not NaN.
        missing_right: Whether a row without a value (NaN) goes right.
        value: Number that a leaf adds to the answer.
        group: The place in the answer.
    """

    left: Array
    right: Array
    column: Array
    bound: Array
    missing_right: Array
    value: Array
    group: int


@dataclass(frozen=True, slots=True)
class Forest:
    """All trees of a model: those of the first place of an answer, then those of the second, ….

    Their order within a place is that of the model. The trees of a place are filled up to whole
    blocks with leaves of -0.0, which change no sum.

    Attributes:
        ends: For each place of an answer, where its trees end, uint64.
        roots: First node of each tree, uint64.
        depths: For each block of trees, the steps to its deepest leaf, uint64.
        code: For each node the way to its left child, times 2^16; the right one is the next node.
            The lower half is the place that it reads. A leaf stays where it is: it reads a place
            behind the columns, which is less than every bound. uint32.
        bound: Order key of the least value that goes right at each node, int32 or int64.
        value: Number that each leaf adds, float32 or float64.
    """

    ends: Array
    roots: Array
    depths: Array
    code: Array
    bound: Array
    value: Array


def order_keys(values: Array) -> Array:
    """Whole numbers in the order of these floats, which hold no NaN; both zeros are one."""
    bits = (values + values.dtype.type(0)).view(f"i{values.dtype.itemsize}")
    keys: Array = np.where(bits < 0, bits ^ np.iinfo(bits.dtype).max, bits)
    return keys


def build_forest(
    trees: Sequence[Tree], columns: int, groups: int, dtype: type, *, equal_left: bool
) -> Forest | None:
    """Lay trees out that were checked by `penstock.runtimes.tree_check.check_trees`.

    Args:
        trees: At least one.
        columns: Columns of a row.
        groups: Places of an answer.
        dtype: ``np.float32`` or ``np.float64``: of bounds and values.
        equal_left: Whether a row goes left whose value is the bound.

    Returns:
        The forest; ``None`` if it is too large for this layout.
    """
    sizes = np.array([len(one.left) for one in trees], np.int64)
    if columns > MAX_COLUMNS or sizes.sum() >= MAX_NODES:
        return None
    firsts = np.cumsum(sizes) - sizes
    shift = np.repeat(firsts, sizes)
    leaf = _joined(trees, "left", np.int64) == -1
    left, right = (
        np.where(leaf, 0, _joined(trees, name, np.int64) + shift) for name in ("left", "right")
    )
    order, depths, starts = _order(firsts, left, right, leaf)
    column, missing, bound, value = (
        _joined(trees, name, kind)[order]
        for name, kind in (
            ("column", np.int64), ("missing_right", np.bool_), ("bound", dtype), ("value", dtype),
        )
    )  # fmt: skip
    place = np.zeros(len(left), np.int64)
    place[order] = np.arange(len(order))
    leaf = leaf[order]
    way = np.where(leaf, 0, place[left[order]] - np.arange(len(order)))
    if way.max(initial=0) > _MAX_WAY:
        return None
    reads = np.where(leaf, 2 * columns, column + columns * missing)
    ends, roots, deepest = _blocks([one.group for one in trees], groups, starts, depths, len(order))
    return Forest(
        ends=ends,
        roots=roots,
        depths=deepest,
        code=np.append(way << _BITS | reads, 2 * columns).astype(np.uint32),
        bound=order_keys(np.append(np.where(leaf, 0, bound), 0).astype(dtype)) + int(equal_left),
        value=np.append(np.where(leaf, value, 0).astype(dtype), dtype(-0.0)),
    )


def _order(firsts: Array, left: Array, right: Array, leaf: Array) -> tuple[Array, Array, Array]:
    """The nodes tree by tree and level by level, with siblings side by side.

    Returns:
        The nodes; the depth of each tree; and where each tree begins.
    """
    trees = len(firsts)
    level, owner = firsts, np.arange(trees)
    levels, owners = [level], [owner]
    depths = np.zeros(trees, np.int64)
    while (inner := ~leaf[level]).any():
        parents, owner = level[inner], np.repeat(owner[inner], 2)
        level = np.stack([left[parents], right[parents]], axis=1).ravel()
        depths[owner] += 1  # once for each tree, however often it is named
        levels.append(level)
        owners.append(owner)
    tree_of = np.concatenate(owners)
    order = np.concatenate(levels)[np.argsort(tree_of, kind="stable")]
    counts = np.bincount(tree_of, minlength=trees)
    return order, depths, np.cumsum(counts) - counts


def _blocks(
    group_of: Sequence[int], groups: int, starts: Array, depths: Array, filler: int
) -> tuple[Array, Array, Array]:
    """Where the trees of each group end, the roots of all trees, and the depth of each block."""
    ends, roots, deep = [], [], []
    mine = np.asarray(group_of)
    for group in range(groups):
        chosen = np.flatnonzero(mine == group)
        lacking = -len(chosen) % BLOCK_TREES
        roots += [starts[chosen], np.full(lacking, filler)]
        deep += [depths[chosen], np.zeros(lacking, np.int64)]
        ends.append(len(chosen) + lacking)
    blocks = np.concatenate(deep).reshape(-1, BLOCK_TREES)
    return (
        np.cumsum(ends).astype(np.uint64),
        np.concatenate(roots).astype(np.uint64),
        blocks.max(axis=1, initial=0).astype(np.uint64),
    )


def _joined(trees: Sequence[Tree], name: str, kind: type) -> Array:
    return np.concatenate([np.asarray(getattr(one, name), kind) for one in trees])
