"""The trees of a LightGBM model as `penstock.runtimes.forest` takes them.

The walk: ``Tree::NumericalDecision``: left if the value is at most the threshold. Values of rows up
to ``kZeroThreshold`` from 0 are 0 (``RowPairFunctionFromDenseMatric``). The sums:
``GBDT::PredictRaw`` adds the leaves in float64, in the order of the trees, to 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from penstock.runtimes.forest.compiled_forest import Additive, additive
from penstock.runtimes.forest.forest import Tree

if TYPE_CHECKING:
    from .file import LightgbmFile, LightgbmTree

_FINISH: Final = {
    **dict.fromkeys(("regression", "regression_l1", "huber", "fair", "quantile", "mape"), ""),
    **dict.fromkeys(("lambdarank", "rank_xendcg", ""), ""),
    **dict.fromkeys(("poisson", "gamma", "tweedie"), "exponential"),
    **dict.fromkeys(("binary", "multiclassova", "cross_entropy"), "logistic64"),
    "multiclass": "softmax",
}
#: What may stand behind the name of an objective and changes none of its answers.
_HARMLESS: Final = ("num_class:", "alpha:", "tweedie_variance_power:")
_ZERO: Final = float(np.float32(1e-35))
#: Bits of a decision: a set of categories; missing values go left; which values are missing.
_IN_SET, _LEFT = 1, 2
_MISSING_SHIFT, _MISSING_MASK = 2, 3
_NONE, _NAN = 0, 2


def may_be_plain(file: LightgbmFile) -> bool:
    """Whether a model has plain trees alone, and answers that are made of their sums."""
    known = all(one == "sigmoid:1" or one.startswith(_HARMLESS) for one in file.parameters)
    sums = file.objective in _FINISH and known and not file.averaged
    return sums and bool(file.trees) and all(map(_is_plain, file.trees))


def read_forest(file: LightgbmFile) -> Additive | None:
    """The model; ``None`` if it has more than plain trees, and is left to the library.

    Args:
        file: Content of the model file.
    """
    if not may_be_plain(file):
        return None
    trees = [_tree(one, number % file.classes) for number, one in enumerate(file.trees)]
    base = np.zeros(file.classes)
    finish = _FINISH[file.objective]
    return additive(trees, len(file.names), base, finish, zero=_ZERO, equal_left=True)


def _is_plain(tree: LightgbmTree) -> bool:
    decision = tree.decision
    missing = decision >> _MISSING_SHIFT & _MISSING_MASK
    return not (
        tree.linear
        or (decision & _IN_SET).any()
        or not np.isin(missing, (_NONE, _NAN)).all()
        or np.isnan(tree.threshold).any()
    )


def _tree(tree: LightgbmTree, group: int) -> Tree:
    """The tree with its leaves behind its inner nodes."""
    leaves = len(tree.leaf_value)
    nothing = np.zeros(leaves)
    decision, inner = tree.decision, len(tree.threshold)
    # Where no value was missing in the training data, NaN is 0.
    right = np.where(
        decision >> _MISSING_SHIFT & _MISSING_MASK == _NAN,
        (decision & _LEFT) == 0,
        tree.threshold < 0,
    )
    return Tree(
        left=tree.left,
        right=tree.right,
        column=np.maximum(tree.column, 0),
        bound=np.concatenate([tree.threshold, nothing]),
        missing_right=np.concatenate([right, np.zeros(leaves, np.bool_)]),
        value=np.concatenate([np.zeros(inner), tree.leaf_value]),
        group=group,
    )
