"""What an XGBoost model file says of itself, and whether the library may load it.

The schema: <https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html>.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.tables import MAX_COLUMNS
from penstock.runtimes.tree_check import check_trees

from .ubjson import UbjsonError, parse

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.runtimes.contract import Category

#: A text of JSON takes ten times its size in memory while it is read.
MAX_JSON_BYTES: Final = 256 << 20
MAX_UBJSON_BYTES: Final = 8 << 30
#: Categories are float32: beyond this number not all of them are whole.
_MOST_CATEGORIES: Final = 1 << 24
#: Type of a column of categories.
_CATEGORICAL: Final = "c"
#: Boosters of trees; another one is linear.
_DART: Final = "dart"
_TREES: Final = ("gbtree", _DART)


@dataclass(frozen=True, slots=True)
class XgboostFile:
    """What a model file says.

    Attributes:
        objective: Name of its objective, such as ``binary:logistic``.
        booster: ``gbtree``, ``dart`` or ``gblinear``.
        columns: Number of columns of a row.
        names: Their names; empty if the file has none.
        categorical: By column, whether it has categories.
        categories: By position, the categories of a column, if the file lists them.
        classes: Number of classes; 0 unless there are more than two.
        targets: Number of targets.
        trees: Number of trees.
        attributes: Attributes that were set on the booster.
        learner: All that the file says of it.
    """

    objective: str
    booster: str
    columns: int
    names: tuple[str, ...]
    categorical: tuple[bool, ...]
    categories: dict[int, tuple[Category, ...]]
    classes: int
    targets: int
    trees: int
    attributes: dict[str, str]
    learner: Any

    @property
    def best_iterations(self) -> int:
        """Iterations that the scikit-learn class of the model uses; 0 for all of them.

        It stops at the best one, and a plain ``Booster`` does not.
        """
        best = self.attributes.get("best_iteration", "")
        return int(best) + 1 if "scikit_learn" in self.attributes and best.isdecimal() else 0


def read_file(path: Path) -> XgboostFile:
    """Read and check a model file.

    Raises:
        ModelLoadError: It is no model of XGBoost, or its numbers contradict each other.
    """
    try:
        document = _document(path)
        return _read(document)
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror or error}") from error
    except UbjsonError as error:
        raise ModelLoadError(f"{path} is no XGBoost model in UBJSON: {error}") from error
    except orjson.JSONDecodeError as error:
        raise ModelLoadError(f"{path} is no XGBoost model in JSON: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise ModelLoadError(f"{path} is no XGBoost model: {_words(error)}") from error


def of_booster(booster: Any) -> XgboostFile:
    """What the library itself says of a model that it has loaded: its numbers are those it uses.

    Args:
        booster: An ``xgboost.Booster``, which is written as UBJSON: floats as their bits.
    """
    return _read(parse(bytes(booster.save_raw(raw_format="ubj"))))


def _document(path: Path) -> Any:
    text = path.suffix == ".json"
    most = MAX_JSON_BYTES if text else MAX_UBJSON_BYTES
    size = path.stat().st_size
    if size > most:
        hint = "; save it as model.ubj" if text else ""
        raise ModelLoadError(f"{path} has {size} bytes, at most {most} are read{hint}")
    content = path.read_bytes()
    if not content.lstrip()[:1] == b"{":
        raise ModelLoadError(
            f"{path} is no XGBoost model: it does not begin with an object; the binary format of "
            "releases before 2.1 has to be loaded there and saved as model.ubj"
        )
    return orjson.loads(content) if text else parse(content)


def _words(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error) or repr(error)


def _read(document: Any) -> XgboostFile:
    learner = document["learner"]
    sizes = learner["learner_model_param"]
    columns, classes, targets = (
        _size(sizes.get(name, default), name)
        for name, default in (("num_feature", "0"), ("num_class", "0"), ("num_target", "1"))
    )
    booster = learner["gradient_booster"]
    kind = booster["name"]
    trees, listed, groups = 0, {}, max(classes, targets, 1)
    if kind in _TREES:
        model = (booster["gbtree"] if kind == _DART else booster)["model"]
        trees = _check_model(model, columns, groups)
        listed = _categories(model.get("cats") or {}, columns)
    elif kind != "gblinear":
        raise ValueError(f"its booster is {kind!r}")
    elif len(booster["model"]["weights"]) != (columns + 1) * groups:
        raise ValueError(f"its linear model has not {columns + 1} weights for each output")
    types = learner.get("feature_types") or [""] * columns
    names = learner.get("feature_names") or []
    for what, some in (("feature_types", types), ("feature_names", names)):
        if some and (len(some) != columns or not all(isinstance(one, str) for one in some)):
            raise ValueError(f"it has {len(some)} {what} for {columns} columns")
    attributes = learner.get("attributes") or {}
    return XgboostFile(
        objective=str(learner["objective"]["name"]),
        booster=kind,
        columns=columns,
        names=tuple(names),
        categorical=tuple(one == _CATEGORICAL for one in types),
        categories=listed,
        classes=classes,
        targets=targets,
        trees=trees,
        attributes={str(key): str(value) for key, value in attributes.items()},
        learner=learner,
    )


def _size(text: Any, name: str) -> int:
    size = int(text)
    if not 0 <= size <= MAX_COLUMNS:
        raise ValueError(f"{name} is {size}, expected at most {MAX_COLUMNS}")
    return size


def _check_model(model: Any, columns: int, groups: int) -> int:
    """Check the trees of a model; returns how many there are."""
    trees = model["trees"]
    promised = int(model["gbtree_model_param"]["num_trees"])
    if promised != len(trees) or len(model["tree_info"]) != len(trees):
        raise ValueError(f"it has {len(trees)} trees, where {promised} are promised")
    if any(not 0 <= group < groups for group in model["tree_info"]):
        raise ValueError(f"a tree belongs to none of the {groups} outputs")
    for tree in trees:
        _check_arrays(tree)
    left, right, split = (
        [np.asarray(tree[name], np.int64) for tree in trees]
        for name in ("left_children", "right_children", "split_indices")
    )
    problem = check_trees(left, right, split, columns)
    if problem:
        raise ValueError(problem)
    return len(trees)


def _check_arrays(tree: Any) -> None:
    """The lengths of a tree's arrays, and where its nodes find their categories."""
    nodes = int(tree["tree_param"]["num_nodes"])
    for name in ("left_children", "right_children", "split_indices", "split_conditions"):
        if len(tree[name]) != nodes:
            raise ValueError(f"{name} of a tree has {len(tree[name])} values for {nodes} nodes")
    if len(tree["default_left"]) != nodes:
        raise ValueError(f"default_left of a tree has not {nodes} values")
    categories = np.asarray(tree.get("categories", ()), np.int64)
    if ((categories < 0) | (categories >= _MOST_CATEGORIES)).any():
        raise ValueError(f"a category of a tree is none of 0 to {_MOST_CATEGORIES - 1}")
    total = len(categories)
    firsts, counts = (
        np.asarray(tree.get(name, ()), np.int64)
        for name in ("categories_segments", "categories_sizes")
    )
    holders = np.asarray(tree.get("categories_nodes", ()), np.int64)
    if not len(firsts) == len(counts) == len(holders):
        raise ValueError("the categories of a tree have different lengths")
    if ((firsts < 0) | (counts < 0) | (firsts + counts > total)).any():
        raise ValueError("a node has categories that are not in the file")
    if ((holders < 0) | (holders >= nodes)).any():
        raise ValueError("a node that has categories is none of its tree")


def _categories(cats: Any, columns: int) -> dict[int, tuple[Category, ...]]:
    """The categories of the columns that have them, by position."""
    found: dict[int, tuple[Category, ...]] = {}
    encoded = cats.get("enc") or []
    if len(encoded) not in {0, columns}:
        raise ValueError(f"it lists the categories of {len(encoded)} columns, and has {columns}")
    for position, one in enumerate(encoded):
        values = np.asarray(one["values"])
        if "offsets" not in one:
            found[position] = tuple(values.tolist())
            continue
        ends = np.asarray(one["offsets"], np.int64)
        if not ends.size:
            continue
        if ends[0] != 0 or (np.diff(ends) < 0).any() or ends[-1] != len(values):
            raise ValueError("the texts of its categories are cut in the wrong places")
        text = values.astype(np.int8).tobytes()
        pieces = [text[a:b] for a, b in pairwise(ends.tolist())]
        found[position] = tuple(piece.decode(errors="replace") for piece in pieces)
    return found


def attribute_metadata(file: XgboostFile) -> dict[str, str]:
    """Key/value pairs that describe a model."""
    attributes = {key: value for key, value in file.attributes.items() if key != "scikit_learn"}
    facts = {"objective": file.objective, "booster": file.booster, "trees": str(file.trees)}
    estimator = file.attributes.get("scikit_learn", "")
    try:
        kind = json.loads(estimator or "{}").get("_estimator_type")
    except (ValueError, AttributeError):
        kind = None
    return {**attributes, **facts, **({"estimator": str(kind)} if kind else {})}
