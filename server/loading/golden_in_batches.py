"""Golden requests run in batches: with each other, and beside made-up rows.

If rows of several requests share runs, each row has to get the answer that it gets alone. A proof
from the graph or a probe has checked that, unless the owner of the model declares it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .golden_examples import difference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.runtimes.contract import Array, Model

    from .golden_examples import Example, Examples

#: Golden requests that are run in batches; each costs three short runs and a part of two others.
MAX_EXAMPLES: Final = 64
_MAX_REPORTED: Final = 5
_SENTINEL: Final = -9999
_ADVICE: Final = "rows influence each other, so batch_axis = true must not be set for this model"

Inputs = list[Any]


def batched_mismatches(model: Model, golden: Examples, max_rows: int) -> list[str]:
    """Answers that golden requests get in a batch and not alone, a few at most.

    A batch that the model refuses is no evidence: the model may refuse the made-up rows.

    Args:
        model: The loaded model.
        golden: Its golden requests, and their tolerances.
        max_rows: Most rows of a run.
    """
    if not model.signature.batch_axis:
        return []
    found: list[str] = []
    for group in _groups(model, golden).values():
        alone = {number: _run(model, list(example.inputs)) for number, example in group}
        known = [(number, example) for number, example in group if alone[number] is not None]
        for batch in _batches(known, max_rows):
            inputs = [_joined(column) for column in zip(*(one for _, one in batch), strict=True)]
            outputs = _run(model, inputs)
            first = 0
            for number, given in batch:
                rows = _rows(given)
                answer = alone.get(number)
                if outputs is not None and answer is not None:
                    own = [output[first : first + rows] for output in outputs]
                    found += _differences(model, golden, number, own, answer)
                first += rows
            if len(found) >= _MAX_REPORTED:
                return [*found[:_MAX_REPORTED], _ADVICE]
    return [*found, _ADVICE] if found else []


def _groups(model: Model, golden: Examples) -> dict[Any, list[tuple[int, Example]]]:
    """Golden requests grouped by the properties that requests of one run must share."""
    groups: dict[Any, list[tuple[int, Example]]] = {}
    for number, example in enumerate(golden.examples[:MAX_EXAMPLES], 1):
        specs = zip(model.signature.inputs, example.inputs, strict=True)
        if not any(spec.optional and given is not None for spec, given in specs):
            key = tuple(None if one is None else one.shape[1:] for one in example.inputs)
            groups.setdefault(key, []).append((number, example))
    return groups


def _batches(
    group: Sequence[tuple[int, Example]], max_rows: int
) -> Iterator[list[tuple[int, Inputs]]]:
    """The batches to run, by number of the golden request; 0 is a made-up row."""
    members = [(number, list(example.inputs)) for number, example in group]
    for order in (members, members[::-1]):
        batch: list[tuple[int, Inputs]] = []
        rows = 0
        for member in order:
            if batch and rows + _rows(member[1]) > max_rows:
                yield batch
                batch, rows = [], 0
            batch.append(member)
            rows += _rows(member[1])
        if len(batch) > 1:
            yield batch
    for number, inputs in members:
        turned = [_turned(one) for one in inputs]
        odd = [_odd(one) for one in inputs]
        yield [(0, turned), (number, inputs), (0, odd)]
        yield [(0, odd), (number, inputs)]
        yield [(number, inputs)] + [(0, turned)] * 4


def _turned(array: Array | None) -> Array | None:
    """The values in another order, so that categories stay ones that the model knows."""
    return None if array is None else array.reshape(-1)[::-1].reshape(array.shape).copy()


def _odd(array: Array | None) -> Array | None:
    """A sentinel in place of each number, and other values in other places."""
    if array is None or array.dtype.kind != "f":
        return _turned(array)
    return np.full_like(array, _SENTINEL)


def _joined(column: Sequence[Array | None]) -> Array | None:
    given = [one for one in column if one is not None]
    return np.concatenate(given) if given else None


def _rows(inputs: Inputs) -> int:
    return next((len(one) for one in inputs if one is not None), 0)


def _run(model: Model, inputs: Inputs) -> list[Array] | None:
    try:
        return model.execute(inputs, [output.name for output in model.signature.outputs])
    except Exception:  # noqa: BLE001  a plug-in may raise anything
        return None


def _differences(
    model: Model, golden: Examples, number: int, own: Sequence[Array], alone: Sequence[Array]
) -> list[str]:
    found = []
    for spec, given, right in zip(model.signature.outputs, own, alone, strict=True):
        how = difference(given, right, golden.relative, golden.absolute)
        if how:
            told = how.replace("stored is", "alone it is")
            found.append(f"golden request {number} in a batch: output '{spec.name}' {told}")
    return found
