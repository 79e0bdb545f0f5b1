"""Directories of one model as other tools lay them out: where the model file is in them.

DIR/model.onnx                                  any runtime's file of one name, or
DIR/churn-7.onnx                                the only model file there: KServe's /mnt/models
DIR/3/model.onnx                                numbered, the highest: Triton, TensorFlow Serving
DIR/config.json, onnx/model.onnx                a model of the Hugging Face hub, or
DIR/refs/main, snapshots/<revision>/, blobs/    its cache, whose snapshots are links into blobs
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.discovery import find_runtime, name_in_version, runtimes
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.roots import roots_of
from penstock.server.files.safe_files import open_directory, open_file
from penstock.server.onnx_file.inspection import MODEL_FILE

from .hub_layout import HUB_MODEL, blobs_beside, snapshot_of
from .repository import VERSION_NAME

if TYPE_CHECKING:
    from pathlib import Path

#: Files of a directory that are looked at.
_MOST_FILES: Final = 1000


@dataclass(frozen=True, slots=True)
class FoundModel:
    """The model file of a directory.

    Attributes:
        file: Path of it.
        whole: Whether all files beside it belong to it, as in a version directory.
    """

    file: Path
    whole: bool


def model_in(directory: Path) -> FoundModel:
    """The model file of a directory.

    Links in the directory may end in it, and in the blobs of the cache that it is in.

    Raises:
        ModelRefused: There is none, or there are several; or it is a link that leads elsewhere.
        OSError: It cannot be read.
    """
    home = snapshot_of(directory)
    found = _file_in(home)
    path = found.file.relative_to(home).as_posix()
    roots = roots_of(home, blobs_beside(home))
    with open_directory(home, roots) as root, open_file(root, path):
        return found


def _file_in(directory: Path) -> FoundModel:
    try:
        found = find_runtime(directory)[1]
    except ModelLoadError as error:
        if any(one.find(directory) is not None for one in runtimes().values()):
            raise ModelRefused(str(error)) from None  # there are several
        reason = error
    else:
        file = found / MODEL_FILE if found.is_dir() else found
        return FoundModel(file, whole=file.name != MODEL_FILE)
    if (directory / HUB_MODEL).is_file():
        return FoundModel(directory / HUB_MODEL, whole=False)
    entries = sorted(directory.iterdir())[:_MOST_FILES]
    models = [one for one in entries if _may_be_model(one) and name_in_version(one) is not None]
    if len(models) == 1:
        return FoundModel(models[0], whole=False)
    if models:
        named = ", ".join(one.name for one in models[:10])
        raise ModelRefused(f"{directory} has several model files, expected one: {named}")
    numbered = [one for one in entries if VERSION_NAME.fullmatch(one.name) and one.is_dir()]
    if numbered:
        return _file_in(max(numbered, key=lambda one: int(one.name)))
    raise ModelRefused(
        f"{directory} is a directory without MLmodel, and {reason}; expected a model "
        "file, an MLflow model, a model of the Hugging Face hub in ONNX, or a directory with one "
        "model file"
    )


def _may_be_model(path: Path) -> bool:
    """Whether a file is looked at. Code is taken by its name alone, ``model.py``."""
    return not path.name.startswith(".") and path.suffix != ".py" and path.is_file()
