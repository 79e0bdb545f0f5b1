"""Puts names of columns and classes into a signature: what the model says comes first. Pure."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from penstock.runtimes.contract import VARIABLE, Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from penstock.runtimes.contract import Signature, TensorSpec

_MATRIX: Final = 2
_MOST_NAMES: Final = 10


class Misnamed(Exception):
    """The names do not fit the model. The message says what the model has."""


def named_signature(promised: Signature, named: Iterable[Sequence[str]]) -> Signature:
    """A signature with the first names that fit it, if the model and its manifest have none.

    Such names are no promise to clients: another version may lack them.

    Args:
        promised: With the names that the model and its manifest have.
        named: Lists of names, the first choice first; an empty list is none.
    """
    if all(one.columns or one.optional for one in promised.inputs):
        return promised
    for names in named:
        with suppress(Misnamed):
            if names:
                return with_columns(promised, [Column(name) for name in names])
    return promised


def with_columns(signature: Signature, columns: Sequence[Column]) -> Signature:
    """The signature with columns that its owner names.

    A model that has names of its own keeps them, and takes categories and missing values from the
    owner's columns of these names. Names that differ in white space only are spelt as the owner
    does: a library may have put underscores there. A model without names takes all from the owner.

    Args:
        signature: As the runtime found it.
        columns: One for each column, in the order of the training data.

    Raises:
        Misnamed: They are not as many as the model has, or are called otherwise, or one stands for
            two.
    """
    widths = [_width(spec) for spec in signature.inputs]
    if None in widths or not widths:
        raise Misnamed("the inputs of the model are no columns: they have open or several axes")
    own = [one for spec in signature.inputs for one in _own(spec)]
    if len(own) != len(columns):
        raise Misnamed(f"the model has {len(own)} columns, and {len(columns)} are named")
    if len({one.name for one in columns}) < len(columns):
        raise Misnamed("a name of a column is given twice")
    for column in columns:
        if len({*(column.categories or ())}) < len(column.categories or ()):
            raise Misnamed(f"a category of column '{column.name}' is given twice")
    known = [one for one in own if one is not None]
    if not known:
        found = list(columns)
    elif len(known) == len(own):
        found = _matched(known, columns)
    else:
        raise Misnamed("the model names some of its columns, and not all of them")
    spelt = {before.name: after.name for before, after in zip(known, found, strict=False)}
    order = tuple(spelt.get(name, name) for name in signature.column_order)
    rest = iter(found)
    inputs = tuple(
        replace(spec, columns=tuple(next(rest) for _ in range(width or 0)))
        for spec, width in zip(signature.inputs, widths, strict=True)
    )
    return replace(signature, inputs=inputs, column_order=order)


def _width(spec: TensorSpec) -> int | None:
    """How many columns an input has; ``None`` if it is no table."""
    tail = spec.shape[1:]
    if spec.optional or VARIABLE in tail or len(tail) > 1:
        return None
    return math.prod(tail)


def _own(spec: TensorSpec) -> Sequence[Column | None]:
    """The columns that a model names itself; ``None`` for those that it does not name."""
    if spec.columns:
        return spec.columns
    width = _width(spec) or 0
    return (Column(spec.name),) if width == 1 else (None,) * width


def _matched(own: Sequence[Column], given: Sequence[Column]) -> list[Column]:
    """The model's columns with what the owner adds, in the order of the model."""
    by_name = {one.name: one for one in given}
    if by_name.keys() != {one.name for one in own}:
        by_name = {_plain(one.name): one for one in given}
        if by_name.keys() != {_plain(one.name) for one in own} or len(by_name) < len(own):
            names = [one.name for one in given]
            raise Misnamed(
                f"the model calls its columns {_shown([one.name for one in own])}, not "
                f"{_shown(names)}"
            )
    return [_united(one, by_name.get(one.name) or by_name[_plain(one.name)]) for one in own]


def _united(own: Column, given: Column) -> Column:
    categories = own.categories
    if given.categories:
        if categories and len(categories) != len(given.categories):
            raise Misnamed(
                f"column '{own.name}' has {len(categories)} categories in the model, and "
                f"{len(given.categories)} are named"
            )
        categories = given.categories
    return Column(given.name, categories, own.missing or given.missing)


def _plain(name: str) -> str:
    return "_".join(name.split())


def _shown(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(map(repr, names[:_MOST_NAMES])) + (f" and {more} more" if more > 0 else "")


def with_classes(signature: Signature, classes: Sequence[str]) -> Signature:
    """The signature with names for the classes of a classifier.

    Args:
        signature: As the runtime found it.
        classes: In the order of the probabilities.

    Raises:
        Misnamed: No output has so many columns.
    """
    if len(set(classes)) < len(classes):
        raise Misnamed("a name of a class is given twice")
    outputs = tuple(_classed(spec, classes) for spec in signature.outputs)
    matrices = [one for one in signature.outputs if len(one.shape) == _MATRIX]
    fits = any(one.shape[1] in {len(classes), VARIABLE} for one in matrices) or not matrices
    if outputs == signature.outputs or not fits:
        widths = [f"{one.shape[1]}" for one in matrices]
        has = f"an output has {' or '.join(widths)}" if widths else "no output has classes"
        raise Misnamed(f"{len(classes)} classes are named, and {has}")
    return replace(signature, outputs=outputs)


def _classed(spec: TensorSpec, classes: Sequence[str]) -> TensorSpec:
    """An output with names of classes: a label has them only if it is the position of its class."""
    if len(spec.shape) == _MATRIX and spec.shape[1] in {len(classes), VARIABLE}:
        return replace(spec, columns=tuple(map(Column, classes)))
    if len(spec.shape) == 1 and len(spec.columns) == 1 and spec.columns[0].categories == ():
        return replace(spec, columns=(replace(spec.columns[0], categories=tuple(classes)),))
    return spec


def adopted(found: Signature, declared: Signature | None) -> Signature:
    """The signature of a model, with the names that its manifest adds.

    Args:
        found: As the runtime found it.
        declared: As the manifest has it; ``None`` without one.
    """
    if declared is None:
        return found
    inputs, outputs = (
        tuple(
            _adopted(one, {other.name: other for other in promised}.get(one.name)) for one in some
        )
        for some, promised in ((found.inputs, declared.inputs), (found.outputs, declared.outputs))
    )
    named = {one.name for spec in inputs for one in spec.columns}
    order = declared.column_order if set(declared.column_order) == named else found.column_order
    return replace(found, inputs=inputs, outputs=outputs, column_order=order)


def _adopted(found: TensorSpec, declared: TensorSpec | None) -> TensorSpec:
    """A tensor with the columns of the manifest, unless the model itself has other ones."""
    if declared is None or not declared.columns or declared.shape[1:] != found.shape[1:]:
        return found
    own = found.columns
    same = [_plain(one.name) for one in own] == [_plain(one.name) for one in declared.columns]
    if own and not same:
        return found
    if not own:
        return replace(found, columns=declared.columns)
    columns = tuple(
        replace(
            promised,
            categories=promised.categories if _may_rename(mine, promised) else mine.categories,
            missing=mine.missing or promised.missing,
        )
        for mine, promised in zip(own, declared.columns, strict=True)
    )
    return replace(found, columns=columns)


def _may_rename(own: Column, given: Column) -> bool:
    return bool(given.categories) and (
        not own.categories or len(own.categories) == len(given.categories or ())
    )
