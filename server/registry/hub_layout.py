"""Models of the Hugging Face hub on disk: a directory of files, or the cache of its client.

Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.config_file import read_bounded
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.safe_files import check_relative

if TYPE_CHECKING:
    from pathlib import Path

#: Where the hub's own export has the model, beside `_CONFIG`.
HUB_MODEL: Final = "onnx/model.onnx"
_CONFIG: Final = "config.json"
_SNAPSHOTS: Final = "snapshots"
_BLOBS: Final = "blobs"
_MAX_REVISION_BYTES: Final = 200


def is_hub_model(directory: Path) -> bool:
    """Whether it is a model of the hub with an ONNX file, or the cache of a model."""
    if _is_cache(directory):
        return True
    return (directory / _CONFIG).is_file() and (directory / HUB_MODEL).is_file()


def snapshot_of(directory: Path) -> Path:
    """The snapshot that the cache of a model points at; other directories are given back.

    Raises:
        ModelRefused: It points at none, or nobody knows which one is meant.
        OSError: It cannot be read.
    """
    if not _is_cache(directory):
        return directory
    place = directory / _SNAPSHOTS
    with suppress(FileNotFoundError):
        text = read_bounded(directory / "refs" / "main", _MAX_REVISION_BYTES)
        revision = text.decode("ascii", "replace").strip()
        if len(check_relative(revision)) == 1 and (place / revision).is_dir():
            return place / revision
        raise ModelRefused(f"{directory}: there is no snapshot {revision}, which refs/main names")
    found = sorted(one for one in place.iterdir() if one.is_dir())
    if len(found) != 1:
        raise ModelRefused(f"{directory} has {len(found)} snapshots and no refs/main; name one")
    return found[0]


def blobs_beside(directory: Path) -> tuple[Path, ...]:
    """Where the files of a snapshot in a cache are; empty for other directories."""
    absolute = directory.absolute()
    for one in (absolute, *absolute.parents)[:4]:
        if one.name == _SNAPSHOTS and _is_cache(one.parent):
            return (one.parent / _BLOBS,)
    return ()


def _is_cache(directory: Path) -> bool:
    return (directory / _SNAPSHOTS).is_dir() and (directory / _BLOBS).is_dir()
