"""The operators of ai.onnx.ml: estimators take a matrix of rows and answer each by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .reductions import first
from .sizes import ONE, product
from .tensor import NotProven, RowsCoupled, Tensor

if TYPE_CHECKING:
    from .broadcasting import Arguments, Fresh
    from .graph import Node
    from .sizes import Size

#: Take ``(rows, features)``; a vector would be one row of features.
ESTIMATORS: Final = frozenset(
    [
        "LinearClassifier",
        "LinearRegressor",
        "SVMClassifier",
        "SVMRegressor",
        "TreeEnsemble",
        "TreeEnsembleClassifier",
        "TreeEnsembleRegressor",
    ]
)
#: The same, and the result has the shape of the operand.
TRANSFORMERS: Final = frozenset({"Imputer", "Normalizer", "Scaler"})
_MATRIX: Final = 2


def _matrix(arguments: Arguments) -> Tensor:
    tensor = first(arguments)
    if tensor.rank != _MATRIX:
        raise NotProven("its operand is no matrix of rows")
    if tensor.axis not in {0, None}:
        raise RowsCoupled("it takes the axis where the rows are for features")
    return tensor


def estimator(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Classifiers give labels ``(rows,)`` and scores ``(rows, classes)``, regressors the latter."""
    tensor = _matrix(arguments)
    scores = Tensor((tensor.sizes[0], fresh()), tensor.axis)
    labels = Tensor(tensor.sizes[:1], tensor.axis)
    return [labels, scores] if node.operator.endswith("Classifier") else [scores]


def transformer(_node: Node, arguments: Arguments, _fresh: Fresh) -> list[Tensor]:
    """Imputer, Normalizer and Scaler work on each row, with a constant for each column."""
    tensor = _matrix(arguments)
    return [Tensor(tensor.sizes, tensor.axis)]


def feature_vectorizer(_node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """FeatureVectorizer joins matrices of rows along their features."""
    sizes: set[Size] = set()
    for one in arguments:
        if one is None or one.rank != _MATRIX or one.axis != 0:
            raise NotProven("its operands are no matrices of rows")
        sizes.add(one.sizes[0])
    if len(sizes) != 1:
        raise NotProven("the numbers of rows of its operands are not known to be equal")
    return [Tensor((*sizes, fresh()), 0)]


def feature_extractor(_node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """ArrayFeatureExtractor: a constant selects columns, or rows select from one constant row.

    Its places are taken in row-major order, whatever their shape, and become the last axis.
    """
    tensor, places = first(arguments), arguments[1]
    if places is None:
        raise NotProven("what it selects is left out")
    if places.axis is not None:
        if tensor.axis is not None:
            raise RowsCoupled("it lets each row choose from all others")
        ones = (ONE,) * max(tensor.rank - 1, 1)
        before = places.sizes[: places.axis]
        if tensor.sizes[:-1] not in {ones, ()} or any(size != ONE for size in before):
            raise NotProven("its rows are not known to stay apart")
        return [Tensor((*ones, product(places.sizes)), len(ones))]
    if tensor.rank < _MATRIX:
        raise NotProven("it selects from a vector")
    if tensor.axis == tensor.rank - 1:
        raise RowsCoupled(f"it selects along axis {tensor.axis}, where the rows are")
    return [Tensor((*tensor.sizes[:-1], fresh()), tensor.axis)]


def one_hot_encoder(_node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """OneHotEncoder appends an axis of categories."""
    tensor = first(arguments)
    return [Tensor((*tensor.sizes, fresh()), tensor.axis)]


def zip_map(_node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """ZipMap gives one map for each row of a matrix; it is shown as a matrix of their values."""
    tensor = _matrix(arguments)
    return [Tensor((tensor.sizes[0], fresh()), tensor.axis)]


def tokenizer(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """Tokenizer splits one text for each row into as many parts as the longest of the run has."""
    tensor, pad = first(arguments), node.attributes.get("pad_value")
    if tensor.axis != 0 or any(size != ONE for size in tensor.sizes[1:]):
        raise NotProven("it splits several texts of each row, or none")
    if not isinstance(pad, bytes):
        raise NotProven("what it fills short texts with was not read")
    return [Tensor((*tensor.sizes, fresh()), 0, None, pad)]


def flat_texts(node: Node, arguments: Arguments, fresh: Fresh) -> Tensor | None:
    """Flatten of padded texts, if that is what it is: one text for each row stays one."""
    tensor = first(arguments)
    if tensor.pad is None:
        return None
    if node.integer("axis", 1) != 1 or any(size != ONE for size in tensor.sizes[1:-1]):
        raise NotProven("it joins texts of several lengths")
    return Tensor((tensor.sizes[0], fresh()), 0, None, tensor.pad)


def term_counter(node: Node, arguments: Arguments, fresh: Fresh) -> list[Tensor]:
    """TfIdfVectorizer counts the terms of each row of a matrix; a vector would be one row.

    Padding behind a row is not counted, and ends every sequence like the end of the row, if it is
    none of the words that are looked for.
    """
    tensor = _matrix(arguments)
    if tensor.pad is not None:
        words = node.attributes.get("pool_strings")
        if not isinstance(words, frozenset) or tensor.pad in words:
            raise NotProven("it may count what short texts are filled with")
    return [Tensor((tensor.sizes[0], fresh()), tensor.axis)]
