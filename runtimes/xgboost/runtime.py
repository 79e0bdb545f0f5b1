"""The XGBoost runtime: ``model.ubj`` or ``model.json``, run by XGBoost itself."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.contract import VARIABLE, Column, ModelLoadError, Signature, TensorSpec
from penstock.runtimes.forest.compiled_forest import fastest
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
    check_names,
    classifier_outputs,
    first_line,
    of_probabilities,
    run_by,
    two_classes,
    value_output,
)

from .file import XgboostFile, attribute_metadata, of_booster, read_file
from .forest import may_be_plain, read_forest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array, LoadOptions

INPUT: Final = "features"
_HALF: Final = 0.5
#: Objectives whose answers are no prediction of the target, but order rows.
_SCORES: Final = ("rank:", "binary:logitraw")


class XgboostRuntime:
    """Implements `penstock.runtimes.contract.Runtime`.

    Answers are those of ``predict_proba`` and ``predict`` of XGBoost's scikit-learn classes, bit by
    bit; the probability of the second class is what ``Booster.predict`` gives.
    """

    platform: Final = "xgboost"
    library: Final = Library("xgboost", "xgboost", ("xgboost-cpu", "xgboost"))
    settings: Final = NoSettings
    files: Final = (
        ModelFile("model.ubj", (b"{L\0\0\0\0\0\0\0\x07learner", b"{i\x07learner")),
        ModelFile("model.json", (b'{"learner":', b'{"version":'), common=True),
    )

    def find(self, directory: Path) -> Path | None:
        """The model file; a ``model.json`` only if it begins as one of XGBoost."""
        return find_model_file(directory, self.files)

    def load(self, path: Path, options: LoadOptions) -> TableModel:
        """Check the file, and have XGBoost load it.

        Raises:
            ModelLoadError: The library is missing, the file is broken, or there are settings.
        """
        read_settings(NoSettings, options.settings)
        xgboost = self.library.load()
        file = read_file(path)
        try:
            booster = xgboost.Booster({"nthread": options.threads}, model_file=path)
            booster.set_param({"nthread": options.threads})
        except Exception as error:  # xgboost.core.XGBoostError, or of ctypes
            raise ModelLoadError(f"cannot load {path}: {first_line(error)}") from error
        predict, compiled = _predictor(xgboost, booster, file), False
        if options.threads == 1 and may_be_plain(file):  # the machine code has one thread
            predict, compiled = fastest(
                predict, lambda: read_forest(of_booster(booster)), file.columns
            )
        outputs, split = _outputs(file)
        signature = Signature(
            (_input(file),), outputs, batch_axis=True, batching=ROWS_APART, remarks=_remarks(file)
        )

        def run(inputs: Sequence[Array], _: Sequence[str]) -> Mapping[str, Array]:
            return split(predict(inputs[0]))

        return TableModel(signature, {**attribute_metadata(file), **run_by(compiled)}, run)


def _predictor(xgboost: Any, booster: Any, file: XgboostFile) -> Callable[[Array], Array]:
    """From a matrix of float32 to what the booster predicts."""
    best = (0, file.best_iterations)
    if file.booster == "gbtree":

        def in_place(matrix: Array) -> Array:
            # NaN is what is missing; the columns were counted before.
            found: Array = booster.inplace_predict(
                matrix, iteration_range=best, missing=math.nan, validate_features=False
            )
            return found

        return in_place
    types = ["c" if one else "float" for one in file.categorical]
    lock = threading.Lock()

    def copied(matrix: Array) -> Array:
        data = xgboost.DMatrix(matrix, missing=math.nan, feature_types=types, nthread=1)
        with lock:  # only trees without dropout are predicted by several threads at once
            found: Array = booster.predict(data, iteration_range=best, validate_features=False)
        return found

    return copied


def _input(file: XgboostFile) -> TensorSpec:
    names = check_names(file.names, file.columns)
    if not names and any(file.categorical):
        names = tuple(f"f{position}" for position in range(file.columns))  # as in its dumps
    columns = tuple(
        Column(name, file.categories.get(position, ()) if categorical else None, missing=True)
        for position, (name, categorical) in enumerate(zip(names, file.categorical, strict=False))
    )
    return TensorSpec(INPUT, "FP32", (VARIABLE, file.columns), columns=columns)


def _outputs(
    file: XgboostFile,
) -> tuple[tuple[TensorSpec, ...], Callable[[Array], Mapping[str, Array]]]:
    """The outputs of a model, and how they are made of what the booster predicts."""
    objective, several = file.objective, file.targets > 1
    if objective == "multi:softprob":
        return classifier_outputs(file.classes, "FP32"), of_probabilities
    if objective == "binary:logistic" and not several:
        return classifier_outputs(2, "FP32"), _of_probability
    if objective in {"multi:softmax", "binary:hinge"}:
        (label, _) = classifier_outputs(2, "FP32")
        return (label,), _of_label
    name = SCORE if objective.startswith(_SCORES) else VALUE
    if objective == "binary:logistic":  # several labels, each with a probability of its own
        name = PROBABILITIES
    width = file.targets if several else max(file.classes, 1)
    return (value_output(name, "FP32", width),), lambda found: {name: found}


def _of_probability(found: Array) -> Mapping[str, Array]:
    return {LABEL: (found > _HALF).astype(np.int64), PROBABILITIES: two_classes(found)}


def _of_label(found: Array) -> Mapping[str, Array]:
    return {LABEL: found.astype(np.int64)}


def _remarks(file: XgboostFile) -> tuple[str, ...]:
    if not file.best_iterations:
        return ()
    used = f"answers use the first {file.best_iterations} iterations"
    return (f"{used}, as the scikit-learn class of the model does after early stopping",)
