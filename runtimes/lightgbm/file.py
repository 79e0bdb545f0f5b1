"""What a LightGBM model file says of itself, and whether the library may load it.

The format is what ``GBDT::SaveModelToString`` of LightGBM writes: a head of ``key=value`` lines,
the trees, the training parameters, and the categories of a pandas table.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.tables import MAX_COLUMNS
from penstock.runtimes.tree_check import check_trees

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array, Category

MAX_BYTES: Final = 2 << 30
_TREE: Final = b"Tree=%d\n"
_CATEGORIES: Final = re.compile(rb"^pandas_categorical:(.*)$", re.MULTILINE)
_CATEGORICAL: Final = re.compile(rb"^\[categorical_feature: ([\d,]*)\]", re.MULTILINE)
_NO_MISSING: Final = re.compile(rb"^\[use_missing: 0\]", re.MULTILINE)
#: A column of categories in ``feature_infos``: numbers between colons, not a range in brackets.
_INFO: Final = re.compile(r"-?\d+(:-?\d+)*")
#: Where the library begins to read trees: at the first line that begins so.
_FIRST_TREE: Final = b"\nTree="
#: The library counts classes here, too.
_OBJECTIVE_CLASSES: Final = re.compile(r"num_class:(\S*)")
#: The decision of a node is whether a category is in a set.
_IN_SET: Final = 1


@dataclass(frozen=True, slots=True)
class LightgbmTree:
    """One tree. Its leaves come behind its inner nodes.

    Attributes:
        left: Left child of each node; -1 for a leaf.
        right: Right child of each node; -1 for a leaf.
        column: The column that each node compares; -1 for a leaf.
        threshold: Of each inner node: a value up to it goes left.
        decision: Of each inner node, how it decides, in bits.
        leaf_value: Number that each leaf adds.
        linear: Whether its leaves have linear models.
    """

    left: Array
    right: Array
    column: Array
    threshold: Array
    decision: Array
    leaf_value: Array
    linear: bool


@dataclass(frozen=True, slots=True)
class LightgbmFile:
    """What a model file says.

    Attributes:
        objective: Name of its objective; empty if it has none.
        parameters: Words behind the name of the objective.
        averaged: Whether the answers of its trees are averaged, not added.
        classes: Values that it gives for each row.
        names: Names of the columns, as LightGBM wrote them.
        categorical: By column, whether it has categories.
        categories: By position, the categories of a column, if the file lists them.
        missing: Whether values may be missing.
        trees: Its trees, in their order.
    """

    objective: str
    parameters: tuple[str, ...]
    averaged: bool
    classes: int
    names: tuple[str, ...]
    categorical: tuple[bool, ...]
    categories: dict[int, tuple[Category, ...]]
    missing: bool
    trees: tuple[LightgbmTree, ...]


def read_file(path: Path) -> LightgbmFile:
    """Read and check a model file.

    Raises:
        ModelLoadError: It is no model of LightGBM, or its numbers contradict each other.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelLoadError(f"{path} has {size} bytes, at most {MAX_BYTES} are read")
        return _read(path.read_bytes())
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, RecursionError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ModelLoadError(f"{path} is no LightGBM model: {what}") from error


def of_booster(booster: Any) -> LightgbmFile:
    """What the library itself says of a model that it has loaded: its numbers are those it uses.

    Args:
        booster: A ``lightgbm.Booster``, which writes floats with 17 digits, so that they are read
            back exactly.
    """
    return _read(booster.model_to_string(num_iteration=-1).encode())


def _read(content: bytes) -> LightgbmFile:
    if not content.startswith(b"tree\n"):
        raise ValueError("it does not begin with the line 'tree'")
    start = content.find(_FIRST_TREE) + 1
    end = content.find(b"\nend of trees")
    if not start or end < start:
        raise ValueError("its trees are missing or cut short")
    if any(content.find(one, 0, end) >= 0 for one in (b"\r", b"\0")):
        raise ValueError("it has ends of lines that the library would take for others")
    head = _fields(content[:start])
    columns = int(head["max_feature_idx"]) + 1
    names = head["feature_names"].split()
    infos = head["feature_infos"].split()
    if not 0 < columns <= MAX_COLUMNS or not columns == len(names) == len(infos):
        raise ValueError(f"it has {len(names)} names and {len(infos)} ranges for {columns} columns")
    per_iteration = int(head["num_tree_per_iteration"])
    classes = int(head["num_class"])
    objective = head.get("objective", "")
    told = _OBJECTIVE_CLASSES.findall(objective)
    if not 0 < classes <= MAX_COLUMNS or {per_iteration, *map(int, told)} != {classes}:
        raise ValueError(
            f"it has {per_iteration} trees in an iteration, {classes} classes, and the objective "
            f"{objective!r}"
        )
    trees = _check_trees(content, start, end, head["tree_sizes"].split(), columns)
    tail = content[end:]
    categorical = _categorical(tail, infos)
    return LightgbmFile(
        objective=objective.partition(" ")[0],
        parameters=tuple(objective.split(" ")[1:]),
        averaged="average_output" in head,
        classes=classes,
        names=tuple(names),
        categorical=categorical,
        categories=_categories(tail, categorical),
        missing=_NO_MISSING.search(tail) is None,
        trees=trees,
    )


def _fields(block: bytes) -> dict[str, str]:
    """The ``key=value`` lines of a block; which of two with one key counts, readers disagree on."""
    found: dict[str, str] = {}
    for line in filter(None, block.decode().split("\n")):
        key, _, value = line.partition("=")
        if key in found:
            raise ValueError(f"{key} is there twice")
        found[key] = value
    return found


def _check_trees(
    content: bytes, start: int, end: int, sizes: Sequence[str], columns: int
) -> tuple[LightgbmTree, ...]:
    """The trees, after a check that LightGBM finds each where it looks, and that it can walk it."""
    trees = []
    at = start
    for number, size in enumerate(map(int, sizes)):
        if size < 0 or at + size > end + 1 or not content.startswith(_TREE % number, at):
            raise ValueError(f"tree {number} is not where tree_sizes says")
        trees.append(_tree(_fields(content[at : at + size]), columns))
        at += size
    left, right, column = (
        [getattr(one, name) for one in trees] for name in ("left", "right", "column")
    )
    problem = check_trees(left, right, column, columns)
    if problem:
        raise ValueError(problem)
    return tuple(trees)


def _tree(fields: Mapping[str, str], columns: int) -> LightgbmTree:
    leaves = int(fields["num_leaves"])
    inner = leaves - 1
    if inner < 0 or leaves > len(fields["leaf_value"]):
        raise ValueError(f"a tree has {leaves} leaves")
    found: dict[str, Array] = {}
    for name, kind, count in (
        ("left_child", np.int64, inner),
        ("right_child", np.int64, inner),
        ("split_feature", np.int64, inner),
        ("threshold", np.float64, inner),
        ("decision_type", np.int64, inner),
        ("leaf_value", np.float64, leaves),
    ):
        values = np.array(fields.get(name, "").split(), kind)
        if len(values) != count:
            raise ValueError(f"{name} of a tree has {len(values)} values, expected {count}")
        found[name] = values
    _check_sets(fields, found["threshold"][(found["decision_type"] & _IN_SET) > 0])
    linear = bool(int(fields.get("is_linear", "0")))
    if linear:
        _check_linear(fields, leaves, columns)
    ends = np.full(leaves, -1)
    children = (
        np.concatenate([np.where(one >= 0, one, inner - one - 1), ends])
        for one in (found["left_child"], found["right_child"])
    )
    left, right = children
    return LightgbmTree(
        left=left,
        right=right,
        column=np.concatenate([found["split_feature"], ends]),
        threshold=found["threshold"],
        decision=found["decision_type"],
        leaf_value=found["leaf_value"],
        linear=linear,
    )


def _check_sets(fields: Mapping[str, str], places: Array) -> None:
    """Whether the sets of categories that nodes refer to are in the file."""
    count = int(fields.get("num_cat", "0"))
    if not count and not len(places):
        return
    ends = np.array(fields["cat_boundaries"].split(), np.int64)
    words = len(fields["cat_threshold"].split())
    if len(ends) != count + 1 or ends[0] != 0 or ends[-1] != words or (np.diff(ends) < 0).any():
        raise ValueError("the sets of categories of a tree are cut in the wrong places")
    if not ((places >= 0) & (places < count)).all():  # NaN is none of them, either
        raise ValueError("a node refers to a set of categories that is not in the file")


def _check_linear(fields: Mapping[str, str], leaves: int, columns: int) -> None:
    """Whether the linear models in the leaves use columns of a row."""
    counts = np.array(fields["num_features"].split(), np.int64)
    used = np.array(fields["leaf_features"].split(), np.int64)
    weights = len(fields["leaf_coeff"].split())
    if len(counts) != leaves or (counts < 0).any() or not counts.sum() == len(used) == weights:
        raise ValueError("the linear models of a tree have different lengths")
    if ((used < 0) | (used >= columns)).any():
        raise ValueError("a linear model uses a column that a row has not")


def _categorical(tail: bytes, infos: Sequence[str]) -> tuple[bool, ...]:
    """Which columns have categories: as the training was told, and as the bins show."""
    found = [_INFO.fullmatch(one) is not None for one in infos]
    told = _CATEGORICAL.search(tail)
    for position in (told[1] if told else b"").split(b","):
        if position and int(position) < len(found):
            found[int(position)] = True
    return tuple(found)


def _categories(tail: bytes, categorical: Sequence[bool]) -> dict[int, tuple[Category, ...]]:
    """The categories of a pandas table, in the order of its columns of categories."""
    found = _CATEGORIES.findall(tail)  # the library reads the last one
    lists: Any = json.loads(found[-1]) if found else None
    places = [position for position, one in enumerate(categorical) if one]
    if not isinstance(lists, list) or len(lists) != len(places):
        return {}
    plain = str | bool | int | float
    return {
        position: tuple(one)
        for position, one in zip(places, lists, strict=True)
        if isinstance(one, list) and one and all(isinstance(value, plain) for value in one)
    }
