"""Checks the nodes of trees before a library walks them: no cycle, nothing outside of its arrays.

The libraries believe the numbers in a model file. A child that is its own parent is an endless
loop in every run, and a child or a column out of range reads memory that belongs to others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contract import Array


def check_trees(
    left: Sequence[Array], right: Sequence[Array], split: Sequence[Array], columns: int
) -> str:
    """What is wrong with these trees; empty if nothing is.

    All trees are walked at once, level by level, so that the time hangs on the number of nodes and
    on the depth of the deepest tree.

    Args:
        left: For each tree the left child of each node, by its position in the same array; -1 for a
            leaf. The root is node 0.
        right: The same for the right child.
        split: For each tree the column that each node compares; not looked at for leaves.
        columns: Number of columns of a row.
    """
    sizes = np.array([len(one) for one in left], np.int64)
    if any(list(map(len, one)) != sizes.tolist() for one in (right, split)):
        return "the arrays of a tree have different lengths"
    if not sizes.all():
        return "a tree has no node"
    if not sizes.size:
        return ""
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    owner = np.repeat(first, sizes)
    size_of = np.repeat(sizes, sizes)
    lefts, rights, splits = (_joined(one) for one in (left, right, split))
    leaf = lefts == -1
    outside = [((one < -1) | (one >= size_of)).any() for one in (lefts, rights)]
    if any(outside) or (leaf != (rights == -1)).any():
        return "a child is no node of its tree"
    if (~leaf & ((splits < 0) | (splits >= columns))).any():
        return f"a node compares a column that is none of the {columns} of a row"
    return _walk(first, owner, lefts, rights, leaf)


def _walk(first: Array, owner: Array, lefts: Array, rights: Array, leaf: Array) -> str:
    """Whether each node is reached once at most, from the roots."""
    seen = np.zeros(len(leaf), np.bool_)
    level = first
    while level.size:
        if seen[level].any():
            return "a tree leads back to a node that it came from"
        seen[level] = True
        inner = level[~leaf[level]]
        level = np.concatenate([owner[inner] + lefts[inner], owner[inner] + rights[inner]])
        if len(np.unique(level)) < len(level):
            return "two branches of a tree lead to one node"
    return ""


def _joined(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.asarray(one, np.int64) for one in arrays])
