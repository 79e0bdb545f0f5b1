"""The gates of odd rows: missing values, extreme values, and rows in another order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.server.files.refusal import ModelRefused

from .gate_report import GateResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.runtimes.contract import Array

    from .subject import Subject

#: Rows that are changed.
MOST_ROWS: Final = 64
#: Columns that are changed one by one.
MOST_COLUMNS: Final = 1000
#: What a large batch may be off by, as golden requests may: an instruction set of another width
#: adds up in another order.
_RELATIVE: Final = 1e-3
_ABSOLUTE: Final = 1e-5
_SEED: Final = 7
_SHOWN: Final = 3


def robustness_gate(
    trial: str, subject: Subject, inputs: Sequence[Array | None] | None
) -> GateResult:
    """The result of one trial.

    Args:
        trial: ``missing``, ``extremes`` or ``shuffled``.
        subject: The version.
        inputs: Rows that it takes; ``None`` if none are known.
    """
    if inputs is None:
        reason = "no row is known that the model takes; golden requests or held-out rows would help"
        return GateResult(trial, Verdict.TOO_LITTLE, reason)
    rows = [None if one is None else one[:MOST_ROWS] for one in inputs]
    if trial == "shuffled":
        return _shuffled(subject, rows)
    values = {"missing": (np.nan,), "extremes": (1e30, -1e30)}[trial]
    return _replaced(trial, subject, rows, values)


def _replaced(
    trial: str, subject: Subject, rows: list[Array | None], values: Sequence[float]
) -> GateResult:
    """Whether each column of numbers may have these values: the outputs stay finite."""
    wrong: list[str] = []
    tried = 0
    for name, changed in _variants(subject, rows, values):
        tried += 1
        try:
            outputs = subject.run(changed)
        except ModelRefused as refusal:
            wrong.append(f"{name}: {refusal}")
            continue
        if any(one.dtype.kind == "f" and not np.isfinite(one).all() for one in outputs):
            wrong.append(f"{name}: an output is not finite")
    figures = {"variants": tried, "wrong": wrong[:MOST_COLUMNS]}
    if not tried:
        return GateResult(trial, Verdict.PASSED, "the model has no columns of fractions", figures)
    if wrong:
        shown = "; ".join(wrong[:_SHOWN])
        reason = f"{len(wrong)} of {tried} changes are answered wrongly: {shown}"
        return GateResult(trial, Verdict.FAILED, reason, figures)
    return GateResult(trial, Verdict.PASSED, f"{tried} changes are answered", figures)


def _variants(
    subject: Subject, rows: list[Array | None], values: Sequence[float]
) -> Iterator[tuple[str, list[Array | None]]]:
    """The rows with one column replaced, for each column and value."""
    left = MOST_COLUMNS
    for place, (spec, array) in enumerate(zip(subject.signature.inputs, rows, strict=True)):
        if array is None or array.dtype.kind != "f":
            continue
        flat = array.reshape(len(array), -1)
        names = [one.name for one in spec.columns] or [
            spec.name if flat.shape[1] == 1 else f"{spec.name}[{n}]" for n in range(flat.shape[1])
        ]
        for column in range(min(flat.shape[1], left)):
            for value in values:
                changed = flat.copy()
                changed[:, column] = _fitting(value, array.dtype)
                one: list[Array | None] = list(rows)
                one[place] = changed.reshape(array.shape)
                told = "missing" if np.isnan(value) else f"{value:g}"
                yield f"{names[column]} {told}", one
        left -= min(flat.shape[1], left)


def _fitting(value: float, dtype: Any) -> Any:
    if np.isnan(value):
        return np.nan
    most = float(np.finfo(dtype).max) / 4
    return np.asarray(max(-most, min(most, value)), dtype)


def _shuffled(subject: Subject, rows: list[Array | None]) -> GateResult:
    """Whether a row is answered the same wherever it stands: in another order, and alone."""
    count = next(len(one) for one in rows if one is not None)
    order = np.random.default_rng(_SEED).permutation(count)
    try:
        plain = subject.run(rows)
        moved = subject.run([None if one is None else one[order] for one in rows])
        alone = [
            np.concatenate(one)
            for one in zip(
                *(
                    subject.run([None if each is None else each[n : n + 1] for each in rows])
                    for n in range(count)
                ),
                strict=True,
            )
        ]
    except ModelRefused as refusal:
        return GateResult("shuffled", Verdict.FAILED, str(refusal))
    for how, other in (
        ("in another order", [one[np.argsort(order)] for one in moved]),
        ("alone", alone),
    ):
        for name, one, two in zip(subject.output_names, plain, other, strict=True):
            if not _alike(one, two):
                reason = f"output {name!r} of a row is another one {how}"
                return GateResult("shuffled", Verdict.FAILED, reason, {"rows": count})
    reason = f"{count} rows are answered alike in another order and alone"
    return GateResult("shuffled", Verdict.PASSED, reason, {"rows": count})


def _alike(one: Array, two: Array) -> bool:
    if one.shape != two.shape:
        return False
    if one.dtype.kind != "f":
        return bool((one == two).all())
    return bool(np.allclose(one, two, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True))
