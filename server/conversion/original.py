"""The model that is to be converted, opened by its own library."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from penstock.server.files.refusal import ModelRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from penstock.runtimes.contract import Array

#: The answers that two models are compared by.
LABEL: Final = "label"
PROBABILITIES: Final = "probabilities"
VALUE: Final = "value"

PICKLES: Final = (".pkl", ".pickle", ".joblib")
_KINDS: Final = (
    "XGBoost (.ubj, .json), LightGBM (.txt), and scikit-learn (.skops; .pkl, .pickle or .joblib "
    "with --allow-pickle)"
)


@dataclass(frozen=True, slots=True)
class Original:
    """A model of another library.

    Attributes:
        library: ``sklearn``, ``xgboost`` or ``lightgbm``.
        model: The object of the library.
        columns: Names of its features; empty if it has none.
        width: Number of its features; 0 if it does not say.
        predict: Its answers to a table: `LABEL` and `PROBABILITIES`, one of them, or `VALUE`.
    """

    library: str
    model: Any
    columns: tuple[str, ...]
    width: int
    predict: Callable[[Any], Mapping[str, Array]]


def open_original(path: Path, *, allow_pickle: bool) -> Original:
    """Open a model file with its library.

    Args:
        path: The file.
        allow_pickle: Whether the user trusts a file that may run code when it is opened.

    Raises:
        ModelRefused: It is of no known kind, needs a library that is missing, or is a pickle that
            nobody has allowed.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in PICKLES:
            return _sklearn(_unpickled(path, allow_pickle=allow_pickle))
        if suffix == ".skops":
            return _sklearn(_skops(path, allow_pickle=allow_pickle))
        if suffix in {".ubj", ".json"}:
            return _xgboost(path)
        if suffix == ".txt":
            return _lightgbm(path)
    except ImportError as error:
        raise ModelRefused(
            f"{path} cannot be opened: {error}; install the library that it was made with"
        ) from error
    except ModelRefused:
        raise
    except Exception as error:  # these libraries share no class of errors
        raise ModelRefused(f"{path} cannot be opened: {_first_line(error)}") from error
    raise ModelRefused(f"{path} cannot be converted; expected a file of {_KINDS}")


def _unpickled(path: Path, *, allow_pickle: bool) -> Any:
    if not allow_pickle:
        raise ModelRefused(
            f"{path} is a pickle: opening it runs whatever code is in it, with your rights; if it "
            "is your own file, add --allow-pickle"
        )
    import joblib  # reads plain pickles, too

    return joblib.load(path)


def _skops(path: Path, *, allow_pickle: bool) -> Any:
    import skops.io

    types = skops.io.get_untrusted_types(file=path)
    if types and not allow_pickle:
        raise ModelRefused(
            f"{path} uses types that skops does not trust: {', '.join(types)}; opening it may run "
            "their code; if it is your own file, add --allow-pickle"
        )
    return skops.io.load(path, trusted=types)


def _sklearn(model: Any) -> Original:
    """A scikit-learn estimator, or one of XGBoost or LightGBM with the same methods."""
    import numpy as np

    if not hasattr(model, "predict"):
        raise ModelRefused(f"the file holds a {type(model).__name__}, expected an estimator")
    library = type(model).__module__.partition(".")[0]
    library = library if library in {"xgboost", "lightgbm"} else "sklearn"
    columns = tuple(map(str, getattr(model, "feature_names_in_", ())))
    width = int(getattr(model, "n_features_in_", 0))

    def predict(table: Any) -> Mapping[str, Array]:
        given = table if columns else table.to_numpy()
        if hasattr(model, "predict_proba"):
            scores = np.asarray(model.predict_proba(given), np.float64)
            return {LABEL: np.asarray(model.predict(given)), PROBABILITIES: scores}
        answer = np.asarray(model.predict(given))
        if hasattr(model, "classes_"):
            return {LABEL: answer}
        return {VALUE: answer.astype(np.float64)}

    return Original(library, model, columns, width, predict)


def _xgboost(path: Path) -> Original:
    import numpy as np
    import xgboost

    booster = xgboost.Booster(model_file=str(path))
    learner = json.loads(booster.save_config())["learner"]
    objective = learner["objective"]["name"]
    width = booster.num_features()
    columns = tuple(booster.feature_names or ())

    def predict(table: Any) -> Mapping[str, Array]:
        given = xgboost.DMatrix(table.to_numpy(), feature_names=list(columns) or None)
        answer = np.asarray(booster.predict(given), np.float64)
        if objective == "multi:softmax":
            return {LABEL: answer.astype(np.int64)}
        return _of_scores(answer, binary=objective == "binary:logistic")

    return Original("xgboost", booster, columns, width, predict)


def _lightgbm(path: Path) -> Original:
    import lightgbm
    import numpy as np

    booster = lightgbm.Booster(model_file=str(path))
    found = re.search(r"^objective=(\S+)", booster.model_to_string(num_iteration=1), re.MULTILINE)
    binary = found is not None and found[1] == "binary"

    def predict(table: Any) -> Mapping[str, Array]:
        answer = np.asarray(booster.predict(table.to_numpy()), np.float64)
        return _of_scores(answer, binary=binary)

    columns = tuple(booster.feature_name())
    return Original("lightgbm", booster, columns, booster.num_feature(), predict)


def _of_scores(answer: Array, *, binary: bool) -> Mapping[str, Array]:
    """The answers of a booster, named as those of a converted model."""
    import numpy as np

    if binary:
        answer = np.column_stack((1 - answer, answer))
    if answer.ndim == 1:
        return {VALUE: answer}
    return {LABEL: answer.argmax(axis=1), PROBABILITIES: answer}


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:400]
