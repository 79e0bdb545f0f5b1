"""The CatBoost runtime: ``model.cbm``, run by CatBoost itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.contract import (
    VARIABLE,
    Column,
    ModelLoadError,
    Signature,
    TensorSpec,
    UnsuitableInput,
)
from penstock.runtimes.datatypes import NUMPY_OF
from penstock.runtimes.library import Library
from penstock.runtimes.model_files import ModelFile, find_model_file
from penstock.runtimes.settings import NoSettings, read_settings
from penstock.runtimes.tables import (
    LABEL,
    PROBABILITIES,
    ROWS_APART,
    SCORE,
    VALUE,
    TableModel,
    classifier_outputs,
    first_line,
    value_output,
)

from .file import CatboostColumns, check_file, read_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array, LoadOptions

    Predict = Callable[[Any], Mapping[str, Array]]

#: Inputs: the columns of a row by type, because a tensor has one.
NUMBERS: Final = "features"
CATEGORIES: Final = "categories"
TEXTS: Final = "texts"

_SEVERAL_LABELS: Final = ("MultiLogloss", "MultiCrossEntropy")
_RANKINGS: Final = (
    *("YetiRank", "PairLogit", "QueryRMSE", "QuerySoftMax", "QueryCrossEntropy"),
    *("StochasticRank", "LambdaMart"),
)
#: What the regressor of the library gives in place of the raw value.
_TYPES: Final = {
    "Poisson": "Exponent",
    "Tweedie": "Exponent",
    "RMSEWithUncertainty": "RMSEWithUncertainty",
}
#: Metadata of a model whose owner has moved the border between its two classes.
_THRESHOLD: Final = "binclass_probability_threshold"
_LABEL_TYPES: Final = {"i": "INT64", "f": "FP64", "b": "BOOL"}


class CatboostRuntime:
    """Implements `penstock.runtimes.contract.Runtime`.

    Answers are those of ``predict_proba`` and ``predict`` of CatBoost's classifier, regressor and
    ranker, bit by bit. Numbers are float32, as inside the library; categories and texts are BYTES.
    """

    platform: Final = "catboost"
    library: Final = Library("catboost", "catboost", ("catboost",))
    settings: Final = NoSettings
    files: Final = (ModelFile("model.cbm", (b"CBM1",)),)

    def find(self, directory: Path) -> Path | None:
        """The model file."""
        return find_model_file(directory, self.files)

    def load(self, path: Path, options: LoadOptions) -> TableModel:
        """Check the file, and have CatBoost load it.

        Raises:
            ModelLoadError: The library is missing, the file is broken, or there are settings.
        """
        read_settings(NoSettings, options.settings)
        catboost = self.library.load()
        check_file(path)
        try:
            model = catboost.CatBoost()
            model.load_model(str(path), format="cbm")
            columns = read_columns(model, path.stat().st_size)
            loss = str(model.get_all_params().get("loss_function", ""))
            classes = np.asarray(model.classes_)
            width = _width(model, columns)
        except ModelLoadError as error:
            raise ModelLoadError(f"cannot serve {path}: {error}") from error
        except Exception as error:  # _catboost.CatBoostError, and others
            raise ModelLoadError(f"cannot load {path}: {first_line(error)}") from error
        outputs, predict = _outputs(model, loss.partition(":")[0], classes, width, options.threads)
        signature = Signature(
            _inputs(columns),
            outputs,
            batch_axis=True,
            batching=ROWS_APART,
            column_order=() if columns.unnamed else columns.names,
        )

        def run(inputs: Sequence[Array], _: Sequence[str]) -> Mapping[str, Array]:
            return predict(_table(inputs, columns))

        return TableModel(signature, {"loss_function": loss, "trees": str(model.tree_count_)}, run)


def _inputs(columns: CatboostColumns) -> tuple[TensorSpec, ...]:
    unnamed = columns.unnamed and not (columns.categories or columns.texts)
    kinds = (
        (NUMBERS, "FP32", columns.numbers, None),
        (CATEGORIES, "BYTES", columns.categories, ()),
        (TEXTS, "BYTES", columns.texts, None),
    )
    found = []
    for name, datatype, places, categories in kinds:
        named = () if unnamed else places
        spec_columns = tuple(
            Column(columns.names[i], categories, name == NUMBERS and i in columns.missing)
            for i in named
        )
        if places:
            shape = (VARIABLE, len(places))
            found.append(TensorSpec(name, datatype, shape, columns=spec_columns))
    return tuple(found)


def _table(inputs: Sequence[Array], columns: CatboostColumns) -> Array:
    """The rows as the library takes them: a matrix of numbers, or one of objects.

    Raises:
        UnsuitableInput: A category or a text is not UTF-8.
    """
    if not (columns.categories or columns.texts):
        return inputs[0]
    places = [one for one in (columns.numbers, columns.categories, columns.texts) if one]
    table = np.empty((len(inputs[0]), len(columns.names)), np.object_)
    for array, where in zip(inputs, places, strict=True):
        table[:, where] = _texts(array) if array.dtype == np.object_ else array
    return table


def _texts(array: Array) -> Array:
    made = np.empty(array.size, np.object_)
    try:
        made[:] = [one.decode() for one in array.ravel().tolist()]
    except UnicodeDecodeError as error:
        raise UnsuitableInput(f"a category is not UTF-8: {error.object[:40]!r}") from error
    return made.reshape(array.shape)


def _width(model: Any, columns: CatboostColumns) -> int:
    """How many numbers the model gives for a row, seen with one of zeros."""
    shapes = [(1, len(one)) for one in (columns.numbers,) if one]
    texts = [(1, len(one)) for one in (columns.categories, columns.texts) if one]
    inputs = [np.zeros(one, np.float32) for one in shapes]
    inputs += [np.full(one, b"0", np.object_) for one in texts]
    found = np.asarray(model.predict(_table(inputs, columns), thread_count=1))
    return int(found.size)


def _outputs(
    model: Any, loss: str, classes: Array, width: int, threads: int
) -> tuple[tuple[TensorSpec, ...], Predict]:
    """The outputs of a model, and how they are computed."""

    def ask(table: Any, kind: str) -> Array:
        return np.asarray(model.predict(table, prediction_type=kind, thread_count=threads))

    if loss in _SEVERAL_LABELS:  # several labels, each with a probability of its own
        several = (value_output(PROBABILITIES, "FP64", width),)
        return several, lambda table: {PROBABILITIES: ask(table, "Probability")}
    if len(classes):
        return _classifier(classes, ask, thresholded=_THRESHOLD in model.get_metadata())
    name = SCORE if loss.startswith(_RANKINGS) else VALUE
    kind = _TYPES.get(loss, "RawFormulaVal")
    return (value_output(name, "FP64", width),), lambda table: {name: ask(table, kind)}


def _classifier(
    classes: Array, ask: Callable[[Any, str], Array], *, thresholded: bool
) -> tuple[tuple[TensorSpec, ...], Predict]:
    """The outputs of a classifier, and how they are computed.

    The library chooses a class by raw values, which differ where rounded probabilities are equal:
    then it is asked itself, as it is for a model with a threshold of its own.
    """
    label = _LABEL_TYPES.get(classes.dtype.kind, "BYTES")
    names = [one if label == "INT64" else str(one) for one in classes.tolist()]
    values = _label_array(classes.tolist(), label)

    def classify(table: Any) -> Mapping[str, Array]:
        found = ask(table, "Probability")
        best = found.max(axis=1, keepdims=True)
        if thresholded or ((found == best).sum(axis=1) > 1).any():
            labels = _label_array(ask(table, "Class").reshape(-1).tolist(), label)
        else:
            labels = values[found.argmax(axis=1)]
        return {LABEL: labels, PROBABILITIES: found}

    return classifier_outputs(len(classes), "FP64", names, label), classify


def _label_array(values: Sequence[Any], datatype: str) -> Array:
    if datatype != "BYTES":
        return np.array(values, NUMPY_OF[datatype])
    made = np.empty(len(values), np.object_)
    made[:] = [str(one).encode() for one in values]
    return made
