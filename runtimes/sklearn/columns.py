"""What the columns of an estimator are: their names, which of them are texts, and their categories.

scikit-learn remembers names, not types. A column is taken for text if a step that was fitted on it
has learnt texts from it: the categories of an encoder, or what an imputer fills in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.tables import MAX_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: A column whose categories are texts: shown to clients only up to so many.
_MAX_CATEGORIES: Final = 10_000


@dataclass(slots=True)
class TableColumn:
    """One column of the training data.

    Attributes:
        name: Name of the column.
        text: Whether its values are texts.
        known: Texts that an encoder has learnt from it.
        closed: Whether an unknown text is an error.
        marker: Value that stands for a missing text.
    """

    name: str
    text: bool = False
    known: list[str] = field(default_factory=list)
    closed: bool = False
    marker: Any = float("nan")


def columns_of(estimator: Any, texts: Sequence[str]) -> tuple[list[TableColumn], bool]:
    """The columns of a fitted estimator, and whether they have names.

    Args:
        estimator: The estimator.
        texts: Names of columns that the owner says are texts.

    Raises:
        ModelLoadError: It was not fitted to a table, or there is no such column.
    """
    count: Any = getattr(estimator, "n_features_in_", None)
    names: Any = getattr(estimator, "feature_names_in_", None)
    if names is None and count is None:
        raise ModelLoadError("the estimator does not say how many columns it was fitted to")
    if not 0 < (len(names) if names is not None else int(count)) <= MAX_COLUMNS:
        raise ModelLoadError(f"the estimator has {count} columns, expected 1 to {MAX_COLUMNS}")
    named = names is not None
    listed = [str(one) for one in names] if named else [f"x{at}" for at in range(int(count))]
    columns = [TableColumn(one) for one in listed]
    _look(estimator, columns)
    by_name = {one.name: one for one in columns}
    for name in texts:
        if name not in by_name:
            raise ModelLoadError(f"text_columns names {name!r}, which is no column of the model")
        by_name[name].text = True
    return columns, named


def _look(step: Any, mine: Sequence[TableColumn]) -> None:
    """Find out what a step has learnt of its columns."""
    if hasattr(step, "transformers_"):  # a ColumnTransformer
        for _, part, places in step.transformers_:
            _look(part, list(_chosen(places, mine)))
    elif hasattr(step, "steps"):  # a pipeline
        for _, inner in step.steps:
            _look(inner, mine)
            if not _keeps_columns(inner):
                return
    elif hasattr(step, "transformer_list"):  # a FeatureUnion
        for _, inner in step.transformer_list:
            _look(inner, mine)
    else:
        _learn(step, mine)


def _keeps_columns(step: Any) -> bool:
    """Whether the next step gets the same columns."""
    if step in (None, "passthrough"):
        return True
    return type(step).__name__ == "SimpleImputer" and not getattr(step, "add_indicator", False)


def _chosen(places: Any, mine: Sequence[TableColumn]) -> Iterator[TableColumn]:
    """The columns that a part of a ColumnTransformer takes."""
    if isinstance(places, slice):
        yield from mine[places]
        return
    listed = [places] if isinstance(places, str | int) else list(places)
    if listed and all(isinstance(one, bool | np.bool_) for one in listed):
        yield from (one for one, taken in zip(mine, listed, strict=False) if taken)
        return
    by_name = {one.name: one for one in mine}
    for place in listed:
        if isinstance(place, str):
            if place in by_name:
                yield by_name[place]
        elif -len(mine) <= place < len(mine):
            yield mine[place]


def _learn(step: Any, mine: Sequence[TableColumn]) -> None:
    categories = getattr(step, "categories_", None)
    if isinstance(categories, list) and len(categories) == len(mine):
        closed = getattr(step, "handle_unknown", "error") == "error"
        for column, found in zip(mine, categories, strict=True):
            _learn_categories(column, found, closed=closed)
    filled = getattr(step, "statistics_", None)
    if filled is not None and len(filled) == len(mine):
        for column, one in zip(mine, filled, strict=True):
            column.text = column.text or isinstance(one, str)
    if hasattr(step, "vocabulary_"):  # a vectorizer takes one column of texts
        for column in mine:
            column.text = True


def _learn_categories(column: TableColumn, found: Any, *, closed: bool) -> None:
    texts = [one for one in found.tolist() if isinstance(one, str)]
    if not texts:
        return
    column.text, column.closed = True, closed
    column.known = texts[:_MAX_CATEGORIES]
    column.closed = closed and len(texts) <= _MAX_CATEGORIES
    if any(one is None for one in found.tolist()):
        column.marker = None
