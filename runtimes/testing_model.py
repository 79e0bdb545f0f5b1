"""The part of the conformance kit that looks at one loaded model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .contract import VARIABLE, ModelExecutionError, Signature, TensorSpec
from .datatypes import NUMPY_OF
from .row_independence import deviation, row_deviation
from .synthetic import synthetic_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .contract import Array, Model

Inputs = list["Array | None"]

ROWS: Final = 3
THREADS: Final = 4
RUNS_PER_THREAD: Final = 25


def require(condition: object, rule: str, message: str) -> None:
    """Raise an `AssertionError` that names the rule, also under ``python -O``."""
    if not condition:
        raise AssertionError(f"{rule}: {message}")


def check_model(
    model: Model, inputs: Sequence[Array | None] | None = None, *, tolerance: float = 1e-4
) -> None:
    """Check every rule of `penstock.runtimes.contract.Model` except `unload`.

    Args:
        model: Loaded.
        inputs: In signature order, with at least 2 different rows if axis 0 is rows. Made up
            by `synthetic_inputs` when absent, which is enough for most models.
        tolerance: Largest difference between two right answers to the same question, relative to
            the largest magnitude of that output.

    Raises:
        AssertionError: The first broken rule, with its name.
    """
    _check_signature(model)
    given = conformance_inputs(model) if inputs is None else list(inputs)
    _check_inputs_untouched(model, given)
    answers = _check_execute(model, given)
    _check_subset(model, given, answers, tolerance)
    _check_fresh_outputs(model, given)
    _check_threads(model, given, answers, tolerance)
    if model.signature.rows_axis:
        _check_row_counts(model, given)
    if model.signature.batch_axis:
        _check_rows(model, given, tolerance)
        _check_empty_batch(model, given)
    _check_execution_error(model, given)


def conformance_inputs(model: Model) -> Inputs:
    """Synthetic inputs with the number of rows that the rules want."""
    return synthetic_inputs(model.signature, ROWS if model.signature.rows_axis else 1)


def run_checked(
    model: Model, inputs: Sequence[Array | None], outputs: Sequence[str]
) -> list[Array]:
    """Execute, and check all that holds for any answer."""
    answers = model.execute(inputs, outputs)
    require(
        isinstance(answers, list) and len(answers) == len(outputs),
        "execute",
        f"must return a list of {len(outputs)} arrays, one per output asked for",
    )
    specs = {spec.name: spec for spec in model.signature.outputs}
    for name, array in zip(outputs, answers, strict=True):
        _check_array(specs[name], array)
    return answers


def raises_only(
    allowed: type[Exception], rule: str, action: Callable[[], object], *, must: bool = False
) -> None:
    """Require an action to succeed or raise the allowed class; with ``must``, to raise it."""
    try:
        action()
    except allowed as error:
        require(str(error), rule, f"{allowed.__name__} without a message")
    except Exception as error:
        raise AssertionError(f"{rule}: must be {allowed.__name__}, not {error!r}") from error
    else:
        require(not must, rule, f"must raise {allowed.__name__}")


def _check_array(spec: TensorSpec, array: Any) -> None:
    name = f"output {spec.name!r}"
    require(isinstance(array, np.ndarray), "execute", f"{name} is a {type(array).__name__}")
    expected = NUMPY_OF[spec.datatype]
    require(array.dtype == expected, "dtype", f"{name} is {array.dtype}, expected {expected}")
    require(array.flags.c_contiguous, "contiguity", f"{name} is not C-contiguous")
    fits = array.ndim == len(spec.shape) and all(
        declared in (VARIABLE, size) for declared, size in zip(spec.shape, array.shape, strict=True)
    )
    require(fits, "shape", f"{name} has shape {array.shape}, declared {spec.shape}")
    if spec.datatype == "BYTES":
        require(
            all(type(element) is bytes for element in array.flat),
            "dtype",
            f"{name} must hold bytes, not { ({type(e).__name__ for e in array.flat}) }",
        )


def _check_signature(model: Model) -> None:
    signature = model.signature
    require(isinstance(signature, Signature), "signature", f"is a {type(signature).__name__}")
    require(signature == model.signature, "signature", "must stay the same")
    require(signature.outputs, "signature", "has no outputs")
    for kind, specs in (("input", signature.inputs), ("output", signature.outputs)):
        names = [spec.name for spec in specs]
        require(all(names), "signature", f"an {kind} has no name")
        require(len(set(names)) == len(names), "signature", f"{kind} names repeat: {names}")
        for spec in specs:
            where = f"{kind} {spec.name!r}"
            require(spec.datatype in NUMPY_OF, "signature", f"{where}: no type {spec.datatype!r}")
            sizes_are_right = isinstance(spec.shape, tuple) and all(
                type(size) is int and size >= VARIABLE for size in spec.shape
            )
            require(sizes_are_right, "signature", f"{where}: impossible shape {spec.shape}")
            require(
                not signature.rows_axis or spec.optional or spec.shape[:1] == (VARIABLE,),
                "signature",
                f"{where}: rows_axis and batch_axis need an open axis 0, not {spec.shape}",
            )
    metadata = model.metadata
    strings = all(isinstance(text, str) for pair in metadata.items() for text in pair)
    require(strings, "metadata", f"must map strings to strings: {metadata}")


def _names(model: Model) -> list[str]:
    return [spec.name for spec in model.signature.outputs]


def _check_execute(model: Model, inputs: Inputs) -> list[Array]:
    names = _names(model)
    answers = run_checked(model, inputs, names)
    run_checked(model, inputs, tuple(names))  # any sequence will do
    return answers


def _check_same(
    rule: str, model: Model, actual: list[Array], expected: list[Array], tolerance: float
) -> None:
    for name, got, wanted in zip(_names(model), actual, expected, strict=True):
        off = deviation(got, wanted)
        require(off <= tolerance, rule, f"output {name!r} differs by {off:.3g} of its magnitude")


def _check_subset(model: Model, inputs: Inputs, expected: list[Array], tolerance: float) -> None:
    names = _names(model)
    backwards = run_checked(model, inputs, names[::-1])[::-1]
    _check_same("output order", model, backwards, expected, tolerance)
    singly = [run_checked(model, inputs, [name])[0] for name in names]
    _check_same("output subset", model, singly, expected, tolerance)
    require(
        run_checked(model, inputs, []) == [], "output subset", "no outputs asked, some returned"
    )


def _check_inputs_untouched(model: Model, inputs: Inputs) -> None:
    """The first rule to run the model: the others need their inputs whole."""
    copies = [None if array is None else array.copy() for array in inputs]
    run_checked(model, copies, _names(model))
    for spec, before, after in zip(model.signature.inputs, inputs, copies, strict=True):
        same = before is None or after is None or deviation(after, before) == 0.0
        require(same, "inputs", f"execute changed input {spec.name!r}")
    for array in copies:
        if array is not None:
            array.flags.writeable = False
    try:
        model.execute(copies, _names(model))
    except Exception as error:
        raise AssertionError(f"read-only inputs: must be accepted: {error!r}") from error


def _check_fresh_outputs(model: Model, inputs: Inputs) -> None:
    names = _names(model)
    first = run_checked(model, inputs, names)
    kept = [array.copy() for array in first]
    other: Inputs = [None if array is None else np.zeros_like(array) for array in inputs]
    try:
        second = model.execute(other, names)
    except ModelExecutionError:  # zeros need not make sense to the model
        second = run_checked(model, inputs, names)
    for name, array, copy, later in zip(names, first, kept, second, strict=True):
        intact = deviation(array, copy) == 0.0 and not np.shares_memory(array, later)
        require(intact, "fresh outputs", f"a later run overwrites output {name!r}")


def _check_threads(model: Model, inputs: Inputs, expected: list[Array], tolerance: float) -> None:
    def work(_: int) -> list[list[Array]]:
        return [run_checked(model, inputs, _names(model)) for _ in range(RUNS_PER_THREAD)]

    with ThreadPoolExecutor(THREADS) as pool:
        for runs in pool.map(work, range(THREADS)):
            for answers in runs:
                _check_same("threads", model, answers, expected, tolerance)


def _check_row_counts(model: Model, inputs: Inputs) -> None:
    """One row and several are answered with as many, whatever is in them."""
    specs = model.signature.inputs
    for most in (1, None):
        given: Inputs = [
            array if array is None or spec.optional else array[:most]
            for spec, array in zip(specs, inputs, strict=True)
        ]
        pairs = zip(specs, given, strict=True)
        counts = {len(one) for spec, one in pairs if one is not None and not spec.optional}
        require(len(counts) == 1, "row counts", f"the inputs have {sorted(counts)} rows")
        rows = counts.pop()
        for name, array in zip(
            _names(model), run_checked(model, given, _names(model)), strict=True
        ):
            require(
                len(array) == rows,
                "row counts",
                f"output {name!r} has shape {array.shape} for {rows} rows; rows_axis and "
                "batch_axis must be False then",
            )


def _check_rows(model: Model, inputs: Inputs, tolerance: float) -> None:
    off = row_deviation(model, inputs)
    require(
        off <= tolerance,
        "rows",
        f"rows together and singly differ by {off:.3g} of the output's magnitude; "
        "batch_axis must be False then",
    )


def _check_empty_batch(model: Model, inputs: Inputs) -> None:
    empty: Inputs = [None if array is None else array[:0] for array in inputs]
    try:
        answers = run_checked(model, empty, _names(model))
    except ModelExecutionError:
        return  # a clear refusal will do
    for name, array in zip(_names(model), answers, strict=True):
        require(len(array) == 0, "empty batch", f"output {name!r} has {len(array)} rows")


def _check_execution_error(model: Model, inputs: Inputs) -> None:
    """Inputs of one more dimension: an answer or the right error, nothing else."""
    wrong: Inputs = [None if array is None else array[None] for array in inputs]
    raises_only(ModelExecutionError, "execution error", lambda: model.execute(wrong, _names(model)))
