"""The trees of an XGBoost model as `penstock.runtimes.forest` takes them.

The walk: ``RegTree::GetNext``: left if the value is less than the condition, the default direction
if it is missing. The sums: ``PredValueByOneTree`` adds the leaves in float32, in the order of the
trees, to the base of the group. The base: ``ObjFunction::ProbToMargin`` of ``base_score``.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.forest.compiled_forest import Additive, additive
from penstock.runtimes.forest.forest import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.runtimes.contract import Array

    from .file import XgboostFile

_LOGISTIC: Final = ("binary:logistic", "reg:logistic")
_LOGARITHMIC: Final = ("count:poisson", "reg:gamma", "reg:tweedie")
_PLAIN: Final = (
    *("reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror"),
    *("rank:ndcg", "rank:map", "rank:pairwise", "binary:logitraw"),
)
_FINISH: Final = {
    **dict.fromkeys(_LOGISTIC, "logistic32"),
    **dict.fromkeys(_LOGARITHMIC, "exponential"),
    **dict.fromkeys(_PLAIN, ""),
    "multi:softprob": "softmax",
}


def may_be_plain(file: XgboostFile) -> bool:
    """Whether a model is of a kind that may have plain trees alone."""
    return file.booster == "gbtree" and file.targets <= 1 and file.objective in _FINISH


def read_forest(file: XgboostFile) -> Additive | None:
    """The model; ``None`` if it has more than plain trees, and is left to the library.

    Args:
        file: Content of the model file: its floats are float32.
    """
    if not may_be_plain(file):
        return None
    model = file.learner["gradient_booster"]["model"]
    base = _base(file)
    trees = _trees(model, _used(model, file))
    if base is None or not trees:
        return None
    return additive(trees, file.columns, base, _FINISH[file.objective])


def _used(model: Any, file: XgboostFile) -> int:
    """How many trees answer."""
    if not file.best_iterations:
        return file.trees
    ends = model.get("iteration_indptr", ())
    return int(ends[file.best_iterations]) if file.best_iterations < len(ends) else 0


def _trees(model: Any, used: int) -> list[Tree]:
    """The trees; none if one of them is not plain."""
    found = []
    for tree, group in zip(model["trees"][:used], model["tree_info"], strict=False):
        plain = not np.any(np.asarray(tree.get("split_type", 0)))
        conditions = _float32(tree["split_conditions"])
        several = int(tree["tree_param"].get("size_leaf_vector", 1)) > 1
        if several or not plain or conditions is None or np.isnan(conditions).any():
            return []
        left = np.asarray(tree["left_children"], np.int64)
        found.append(
            Tree(
                left=left,
                right=np.asarray(tree["right_children"], np.int64),
                column=np.asarray(tree["split_indices"], np.int64),
                bound=conditions,
                missing_right=np.asarray(tree["default_left"]) == 0,
                value=conditions,  # of a leaf, its value
                group=int(group),
            )
        )
    return found


def _float32(values: Any) -> Array | None:
    """The numbers of the library; ``None`` if they were written in another type."""
    given = np.asarray(values)
    same = given.dtype.kind == "f" and given.dtype.itemsize == np.dtype(np.float32).itemsize
    return given.astype(np.float32) if same else None  # the file has the other order of bytes


def _base(file: XgboostFile) -> Array | None:
    """What each sum begins with; ``None`` if the file says it in another way."""
    text = str(file.learner["learner_model_param"].get("base_score", ""))
    groups = max(file.classes, 1)
    try:
        scores = np.array([np.float32(one) for one in text.strip("[]").split(",")], np.float32)
    except ValueError:
        return None
    if len(scores) not in {1, groups}:
        return None
    if file.objective in _LOGISTIC:
        scores = _by_c("logf", np.float32(1) / scores - np.float32(1))
        scores = -scores
    elif file.objective in _LOGARITHMIC:
        scores = _by_c("logf", scores)
    return np.broadcast_to(scores, (groups,)).copy()


def _by_c(name: str, values: Sequence[Any] | Array) -> Array:
    """A function of the C library, which the library of the model uses, too."""
    function: Callable[[float], float] = getattr(ctypes.CDLL("libm.so.6"), name)
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]  # type: ignore[attr-defined]
    return np.array([function(float(one)) for one in values], np.float32)
