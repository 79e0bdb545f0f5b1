"""The LightGBM runtime: ``model.txt``, run by LightGBM itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from penstock.runtimes.contract import VARIABLE, Column, ModelLoadError, Signature, TensorSpec
from penstock.runtimes.forest.compiled_forest import fastest
from penstock.runtimes.library import Library
from penstock.runtimes.model_files import ModelFile, find_model_file
from penstock.runtimes.settings import NoSettings, read_settings
from penstock.runtimes.tables import (
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

from .file import LightgbmFile, of_booster, read_file
from .forest import may_be_plain, read_forest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array, LoadOptions

INPUT: Final = "features"
#: What LightGBM calls the columns of a table without names.
_UNNAMED: Final = re.compile(r"Column_\d+")
_SEVERAL_CLASSES: Final = ("multiclass", "multiclassova")
_RANKINGS: Final = ("lambdarank", "rank_xendcg")


class LightgbmRuntime:
    """Implements `penstock.runtimes.contract.Runtime`.

    Answers are those of ``predict_proba`` and ``predict`` of LightGBM's scikit-learn classes, bit
    by bit; the probability of the second class is what ``Booster.predict`` gives. The file does not
    have the names of classes: a label is the position of its class.
    """

    platform: Final = "lightgbm"
    library: Final = Library("lightgbm", "lightgbm", ("lightgbm",))
    settings: Final = NoSettings
    files: Final = (ModelFile("model.txt", (b"treeversion=",), common=True),)

    def find(self, directory: Path) -> Path | None:
        """The model file, if it begins as one of LightGBM."""
        return find_model_file(directory, self.files)

    def load(self, path: Path, options: LoadOptions) -> TableModel:
        """Check the file, and have LightGBM load it.

        Raises:
            ModelLoadError: The library is missing, the file is broken, or there are settings.
        """
        read_settings(NoSettings, options.settings)
        lightgbm = self.library.load()
        file = read_file(path)
        try:
            booster = lightgbm.Booster(model_file=path)
        except Exception as error:  # lightgbm.basic.LightGBMError, or of ctypes
            raise ModelLoadError(f"cannot load {path}: {first_line(error)}") from error
        outputs, split = _outputs(file)
        signature = Signature((_input(file),), outputs, batch_axis=True, batching=ROWS_APART)
        threads = options.threads

        def library(matrix: Array) -> Array:
            found: Array = booster.predict(matrix, num_threads=threads)
            return found

        predict: Callable[[Array], Array] = library
        compiled = False
        if threads == 1 and may_be_plain(file):  # the machine code has one thread
            predict, compiled = fastest(
                library, lambda: read_forest(of_booster(booster)), len(file.names)
            )

        def run(inputs: Sequence[Array], _: Sequence[str]) -> Mapping[str, Array]:
            return split(predict(inputs[0]))

        facts = {"objective": file.objective or "none", "trees": str(len(file.trees))}
        return TableModel(signature, {**facts, **run_by(compiled)}, run)


def _input(file: LightgbmFile) -> TensorSpec:
    count = len(file.names)
    names = check_names(file.names, count)
    if not any(file.categorical) and all(map(_UNNAMED.fullmatch, names)):
        names = ()
    columns = tuple(
        Column(
            name,
            file.categories.get(position, ()) if categorical else None,
            missing=file.missing,
        )
        for position, (name, categorical) in enumerate(zip(names, file.categorical, strict=False))
    )
    return TensorSpec(INPUT, "FP64", (VARIABLE, count), columns=columns)


def _outputs(
    file: LightgbmFile,
) -> tuple[tuple[TensorSpec, ...], Callable[[Array], Mapping[str, Array]]]:
    """The outputs of a model, and how they are made of what the booster predicts."""
    if file.objective == "binary":
        return classifier_outputs(2, "FP64"), lambda found: of_probabilities(two_classes(found))
    if file.objective in _SEVERAL_CLASSES:
        return classifier_outputs(file.classes, "FP64"), of_probabilities
    name = SCORE if file.objective in _RANKINGS else VALUE
    return (value_output(name, "FP64", file.classes),), lambda found: {name: found}
