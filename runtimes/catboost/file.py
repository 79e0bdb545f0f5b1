"""What a CatBoost model says of itself, and whether the library may load its file."""

from __future__ import annotations

import json
import struct
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.tables import MAX_COLUMNS, check_names

MAX_BYTES: Final = 8 << 30
#: Models up to this size are asked which of their columns had missing values: the library tells
#: it in a JSON export only, which is some times as large as the model.
MAX_EXPORTED_BYTES: Final = 64 << 20
_MAGIC: Final = b"CBM1"
_HEAD: Final = struct.Struct("<4sI")


@dataclass(frozen=True, slots=True)
class CatboostColumns:
    """The columns of a model.

    Attributes:
        names: Names of all columns, in the order of the training data; the library makes them up
            from their positions if the data had none.
        categories: Positions of columns of categories.
        texts: Positions of columns of texts.
        missing: Positions of columns of numbers that may lack a value.
    """

    names: tuple[str, ...]
    categories: tuple[int, ...]
    texts: tuple[int, ...]
    missing: frozenset[int]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Positions of columns of numbers."""
        others = {*self.categories, *self.texts}
        return tuple(i for i in range(len(self.names)) if i not in others)

    @property
    def unnamed(self) -> bool:
        """Whether the names are those that the library makes up."""
        return self.names == tuple(map(str, range(len(self.names))))


def check_file(path: Path) -> None:
    """Check what can be seen before the library reads a file; it verifies the rest itself.

    Raises:
        ModelLoadError: It is no model of CatBoost, or a part of one.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEAD.size)
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror or error}") from error
    if size > MAX_BYTES:
        raise ModelLoadError(f"{path} has {size} bytes, at most {MAX_BYTES} are read")
    if len(head) < _HEAD.size or not head.startswith(_MAGIC):
        raise ModelLoadError(f"{path} is no CatBoost model: it does not begin with CBM1")
    core = _HEAD.unpack(head)[1]
    if core > size - _HEAD.size:
        raise ModelLoadError(
            f"{path} is cut short: its trees have {core} bytes, and {size - _HEAD.size} are there"
        )


def read_columns(model: Any, size: int) -> CatboostColumns:
    """The columns of a loaded model.

    Args:
        model: A ``catboost.CatBoost``.
        size: Bytes of its file.

    Raises:
        ModelLoadError: It has columns that cannot be sent.
    """
    names = tuple(map(str, model.feature_names_))
    if not 0 < len(names) <= MAX_COLUMNS:
        raise ModelLoadError(f"the model has {len(names)} columns")
    if not check_names(names, len(names)):
        names = tuple(map(str, range(len(names))))
    if model.get_embedding_feature_indices():
        raise ModelLoadError("the model has columns of embeddings, which are not supported")
    categories = tuple(model.get_cat_feature_indices())
    texts = tuple(model.get_text_feature_indices())
    missing = frozenset(range(len(names)))
    if size <= MAX_EXPORTED_BYTES:
        with suppress(Exception):  # it cannot export every kind of model
            missing = _with_missing_values(model)
    return CatboostColumns(names, categories, texts, missing)


def _with_missing_values(model: Any) -> frozenset[int]:
    """Positions of the columns of numbers that had missing values in the training data."""
    with tempfile.TemporaryDirectory(prefix="penstock-catboost-") as directory:
        path = Path(directory) / "model.json"
        model.save_model(str(path), format="json")
        exported = json.loads(path.read_bytes())
    floats = exported["features_info"].get("float_features", ())
    return frozenset(one["flat_feature_index"] for one in floats if one["has_nans"])
