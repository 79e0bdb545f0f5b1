"""The scikit-learn runtime: ``model.skops``, run by scikit-learn itself.

skops makes objects, and an estimator may hold the interpreter lock for long, so such a model runs
in a process of its own unless its owner says otherwise.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.contract import VARIABLE, Column, ModelLoadError, Signature, TensorSpec
from penstock.runtimes.datatypes import NUMPY_OF
from penstock.runtimes.library import Library
from penstock.runtimes.settings import read_settings
from penstock.runtimes.tables import (
    LABEL,
    PROBABILITIES,
    VALUE,
    TableModel,
    classifier_outputs,
    first_line,
    value_output,
)

from .columns import TableColumn, columns_of
from .file import read_estimator
from .settings import SklearnSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array, LoadOptions

FILE_NAME: Final = "model.skops"
INPUT: Final = "features"
#: With more columns, it is not tried out which of them may be missing.
_MOST_TRIED: Final = 256
#: They approach an answer until it is good enough for all rows of a run together.
_COUPLERS: Final = ("NMF", "MiniBatchNMF")
_PANDAS: Final = Library("pandas", "sklearn", ("pandas",))


class SklearnRuntime:
    """Implements `penstock.runtimes.contract.Runtime`. Answers are those of the estimator."""

    platform: Final = "sklearn"
    library: Final = Library("sklearn", "sklearn", ("scikit-learn",))
    isolated: Final = True
    settings: Final = SklearnSettings

    def find(self, directory: Path) -> Path | None:
        """``model.skops``."""
        path = directory / FILE_NAME
        return path if path.is_file() else None

    def load(self, path: Path, options: LoadOptions) -> TableModel:
        """Have skops make the estimator of trusted types, and find out what it takes and gives.

        Raises:
            ModelLoadError: A library is missing, the file is broken or not trusted, the estimator
                is not one that predicts, or there are unknown settings.
        """
        settings = read_settings(SklearnSettings, options.settings)
        self.library.load()
        skops_io = Library("skops.io", "sklearn", ("skops",)).load()
        estimator = read_estimator(skops_io, path, options.trusted_types)
        if not callable(getattr(estimator, "predict", None)):
            raise ModelLoadError(
                f"{path} holds a {type(estimator).__name__}, which predicts nothing"
            )
        columns, named = columns_of(estimator, settings.text_columns)
        table = _Table(columns, named=named)
        outputs, run = _outputs(estimator, table, path)
        reason = _couples(estimator)
        signature = Signature(
            table.specs(_missing(run, table)),
            outputs,
            batch_axis=not reason if settings.batch_axis is None else settings.batch_axis,
            batching="declared by [runtime] batch_axis"
            if settings.batch_axis is not None
            else reason or "scikit-learn answers each row by itself",
            rows_axis=True,
            column_order=tuple(one.name for one in columns) if table.divided else (),
        )
        return TableModel(signature, {}, lambda inputs, wanted: run(table.frame(inputs), wanted))


class _Table:
    """Makes what the estimator takes of the inputs: a data frame, or an array.

    Attributes:
        columns: Columns of the training data.
        divided: Whether each column is an input of its own, because some are texts.
    """

    def __init__(self, columns: list[TableColumn], *, named: bool) -> None:
        self.columns = columns
        self.divided = any(one.text for one in columns)
        self._pandas = _PANDAS.load() if named else None

    def specs(self, missing: Sequence[bool]) -> tuple[TensorSpec, ...]:
        """The inputs, given which columns may lack a value."""
        described = [
            Column(one.name, tuple(one.known) if one.closed else None, lacking)
            for one, lacking in zip(self.columns, missing, strict=True)
        ]
        if not self.divided:
            shape = (VARIABLE, len(self.columns))
            names = tuple(described) if self._pandas is not None else ()
            return (TensorSpec(INPUT, "FP64", shape, columns=names),)
        return tuple(
            TensorSpec(one.name, "BYTES" if one.text else "FP64", (VARIABLE, 1), columns=(column,))
            for one, column in zip(self.columns, described, strict=True)
        )

    def frame(self, inputs: Sequence[Array]) -> Any:
        """The table of a run."""
        if not self.divided:
            matrix = inputs[0]
            if self._pandas is None:
                return matrix
            return self._pandas.DataFrame(matrix, columns=[one.name for one in self.columns])
        content = {
            one.name: _texts(array, one) if one.text else array[:, 0]
            for one, array in zip(self.columns, inputs, strict=True)
        }
        if self._pandas is not None:
            return self._pandas.DataFrame(content)
        matrix = np.empty((len(inputs[0]), len(self.columns)), object)
        for place, values in enumerate(content.values()):
            matrix[:, place] = values
        return matrix

    def example(self, lacking: int | None) -> list[Array]:
        """A row that the model should know, without the value of one column."""
        row: list[Array] = []
        for place, one in enumerate(self.columns):
            lacks = place == lacking
            if one.text:
                text = b"" if lacks else (one.known or ["text"])[0].encode()
                row.append(np.array([[text]], object))
            else:
                row.append(np.array([[np.nan if lacks else 0.0]]))
        return row if self.divided else [np.concatenate(row, axis=1)]


def _texts(array: Array, column: TableColumn) -> Array:
    """Texts of a column; the empty text is a missing one, unless the model knows it."""
    empty: Any = "" if "" in column.known else column.marker
    found = np.empty(len(array), object)
    found[:] = [one.decode(errors="replace") if one else empty for one in array[:, 0].tolist()]
    return found


def _outputs(
    estimator: Any, table: _Table, path: Path
) -> tuple[tuple[TensorSpec, ...], Callable[[Any, Sequence[str]], Mapping[str, Array]]]:
    """The outputs of an estimator, and the function that computes them of a table."""
    answer = _plain(_predicted(estimator, table, path))
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, list) or (classes is not None and answer.ndim > 1):
        raise ModelLoadError(f"{path} predicts several targets of classes, which is not served")
    if classes is None:
        name, datatype = (VALUE, "FP64") if answer.dtype.kind == "f" else (LABEL, "INT64")
        kind = np.float64 if datatype == "FP64" else np.int64
        width = 1 if answer.ndim == 1 else answer.shape[1]

        def values(frame: Any, _: Sequence[str]) -> Mapping[str, Array]:
            return {name: np.asarray(estimator.predict(frame)).astype(kind, copy=False)}

        return (value_output(name, datatype, width),), values
    label = {"b": "BOOL", "i": "INT64", "u": "INT64", "f": "FP64"}.get(answer.dtype.kind, "BYTES")
    label_spec, spec = classifier_outputs(len(classes), "FP64", list(classes), label)
    before, last = _steps(estimator)
    if not hasattr(last, "predict_proba"):
        return (label_spec,), lambda frame, _: {LABEL: _labels(last.predict(before(frame)), label)}

    def classify(frame: Any, wanted: Sequence[str]) -> Mapping[str, Array]:
        given, found = before(frame), {}
        if LABEL in wanted:
            found[LABEL] = _labels(last.predict(given), label)
        if PROBABILITIES in wanted:
            found[PROBABILITIES] = np.asarray(last.predict_proba(given), np.float64)
        return found

    return (label_spec, spec), classify


def _predicted(estimator: Any, table: _Table, path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return estimator.predict(table.frame(table.example(None)))
    except Exception as error:
        raise ModelLoadError(
            f"{path} cannot predict a made-up row: {first_line(error)}; columns that are texts can "
            "be named by text_columns in [runtime] of model.toml"
        ) from error


def _steps(estimator: Any) -> tuple[Callable[[Any], Any], Any]:
    """What comes before the last step of a pipeline, computed once for all outputs; the last."""
    if type(estimator).__name__ != "Pipeline" or len(estimator.steps) < 2:  # noqa: PLR2004
        return (lambda frame: frame), estimator
    return estimator[:-1].transform, estimator[-1]


def _labels(found: Any, datatype: str) -> Array:
    answer = _plain(found)
    if datatype != "BYTES":
        return answer.astype(NUMPY_OF[datatype], copy=False)
    texts = np.empty(len(answer), object)
    texts[:] = [str(one).encode() for one in answer.tolist()]
    return texts


def _plain(found: Any) -> Array:
    return np.asarray(found)


def _missing(run: Callable[[Any, Sequence[str]], Mapping[str, Array]], table: _Table) -> list[bool]:
    """Which columns may lack a value: it is tried out."""
    if len(table.columns) > _MOST_TRIED:
        return [True] * len(table.columns)
    return [_answers(run, table, place) for place in range(len(table.columns))]


def _answers(
    run: Callable[[Any, Sequence[str]], Mapping[str, Array]], table: _Table, lacking: int
) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(table.frame(table.example(lacking)), (LABEL, VALUE, PROBABILITIES))
    except Exception:  # noqa: BLE001  then it may not be missing
        return False
    return True


def _couples(estimator: Any) -> str:
    """Why rows of several requests may not share a run; empty if they may."""
    parts = [estimator, *estimator.get_params(deep=True).values()]
    return next(filter(None, (_coupling(one) for one in parts if hasattr(one, "fit"))), "")


def _coupling(step: Any) -> str:
    name, module = type(step).__name__, type(step).__module__
    if name == "FunctionTransformer" and (step.func is not None or step.inverse_func is not None):
        return "a FunctionTransformer may couple rows"
    if name == "TransformedTargetRegressor" and not isinstance(step.inverse_func, np.ufunc | None):
        return "the inverse_func of a TransformedTargetRegressor may couple rows"
    if name in _COUPLERS or getattr(step, "sample_posterior", False):
        return f"{name} couples rows"
    return "" if module.startswith("sklearn.") else f"{module}.{name} may couple rows"
