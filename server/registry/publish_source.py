"""The files to publish: a model file with its data beside it, or a directory of files."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.runtimes.discovery import endings_beside, name_in_version
from penstock.server.files.listing import list_files
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.roots import roots_of
from penstock.server.files.safe_files import check_relative, open_directory, open_file
from penstock.server.onnx_file.inspection import MODEL_FILE
from penstock.server.onnx_file.summary_reader import read_summary

from .hub_layout import blobs_beside
from .manifest import MANIFEST_FILE
from .mlflow_model import MLMODEL_FILE, read_mlflow_model
from .model_layout import model_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from penstock.runtimes.contract import Column
    from penstock.server.files.roots import Roots

EXAMPLES_FILE = "examples.json"
_RESERVED = frozenset({MODEL_FILE, MANIFEST_FILE, EXAMPLES_FILE, "baseline.json"})


@dataclass(frozen=True, slots=True)
class PublishSource:
    """Files to publish.

    Attributes:
        model: The model file; links on the way to it, which its owner named, are resolved.
        name: Its name in a version directory.
        beside: Files that it refers to, relative to its directory.
        total_bytes: Of all of them.
        metadata: Key/value pairs of the model file.
        home: Directory of the files beside it: of the link that named it, or of itself.
        roots: Directories in which links to the files beside it may end: beside its target, as in a
            cache of the Hugging Face hub.
        run_id: From MLflow; empty otherwise.
        made: Content of files that are made for the version, by name.
        columns: From MLflow's signature; empty if there is none.
        own_names: Names of the files beside it at home, by their names in a version.
    """

    model: Path
    beside: tuple[str, ...]
    total_bytes: int
    metadata: Mapping[str, str]
    home: Path
    roots: Roots
    run_id: str = ""
    name: str = MODEL_FILE
    made: Mapping[str, bytes] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    own_names: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def open(self, path: str) -> Iterator[tuple[int, int]]:
        """Descriptor and size of one of the files, named as it is to be published.

        Raises:
            ModelRefused: A file beside the model is a link, or no file.
            OSError: It cannot be read.
        """
        if path == self.name:
            with self.model.open("rb") as file:
                yield file.fileno(), os.fstat(file.fileno()).st_size
            return
        with (
            open_directory(self.home, self.roots) as root,
            open_file(root, self.own_names.get(path, path)) as (found, facts),
        ):
            _check_single(facts, path)
            yield found, facts.st_size


def find_source(path: Path) -> PublishSource:
    """Look at what the user named.

    Raises:
        ModelRefused: It is no model of a known kind, or its data is elsewhere.
        OSError: It cannot be read.
    """
    if not path.is_dir():
        return _of_file(path)
    if not (path / MLMODEL_FILE).exists():
        model = model_in(path)
        return _of_directory(model.file) if model.whole else _of_file(model.file)
    described = read_mlflow_model(path)
    inner = path / described.model_path
    if not inner.resolve(strict=True).is_relative_to(path.resolve()):
        raise ModelRefused(f"{inner} leads out of the MLflow model")
    file = inner / MODEL_FILE if inner.is_dir() else inner
    return _of_file(file, described.run_id, described.columns)


def _of_file(path: Path, run_id: str = "", columns: tuple[Column, ...] = ()) -> PublishSource:
    model = path.resolve(strict=True)
    if not model.is_file():
        raise ModelRefused(f"{path} is no regular file")
    name = name_in_version(path)
    if name is not None and name != MODEL_FILE:
        return _of_other_runtime(path, model, name, run_id, columns)
    with model.open("rb") as file:
        total = os.fstat(file.fileno()).st_size
        try:
            summary = read_summary(file.fileno(), total)
        except ModelRefused as refusal:
            raise ModelRefused(*(f"{path}: {reason}" for reason in refusal.reasons)) from None
    beside = sorted({one.location for one in summary.external} | set(summary.contexts))
    home = path.parent.absolute()
    roots = roots_of(home, blobs_beside(home))
    with open_directory(home, roots) as root:
        for location in beside:
            if check_relative(location)[0] in _RESERVED:
                raise ModelRefused(f"{path}: its data may not be called {location}")
            with open_file(root, location) as (_, facts):
                _check_single(facts, location)
                total += facts.st_size
    return PublishSource(
        model, tuple(beside), total, summary.metadata, home, roots, run_id, columns=columns
    )


def _of_directory(model: Path) -> PublishSource:
    """A model file with all files of its directory, but hidden ones and caches of Python.

    The manifest of a version that was published before is left out: its copy gets one of its own.

    Raises:
        ModelRefused: A file is a link that leads elsewhere, or no plain file.
    """
    home = model.parent.absolute()
    roots = roots_of(home)
    with open_directory(home, roots) as root:
        listed = [one for one in list_files(root) if not _is_left_out(one.path)]
    beside = tuple(one.path for one in listed if one.path != model.name)
    total = sum(one.size for one in listed)
    return PublishSource(
        model.resolve(strict=True), beside, total, {}, home, roots, name=model.name
    )


def _is_left_out(path: str) -> bool:
    if path == MANIFEST_FILE:
        return True
    return any(part.startswith(".") or part == "__pycache__" for part in path.split("/"))


def _of_other_runtime(
    path: Path, model: Path, name: str, run_id: str, columns: tuple[Column, ...]
) -> PublishSource:
    """A model file of another runtime than ONNX, with the files of its name that belong to it."""
    home = path.parent.absolute()
    stem = Path(name).stem
    own_names = {
        f"{stem}{ending}": f"{path.stem}{ending}"
        for ending in endings_beside(name)
        if (home / f"{path.stem}{ending}").exists()
    }
    total = sum((home / one).stat().st_size for one in own_names.values()) + model.stat().st_size
    return PublishSource(
        model,
        tuple(own_names),
        total,
        {},
        home,
        roots_of(home),
        run_id,
        name,
        columns=columns,
        own_names=own_names,
    )


def _check_single(facts: os.stat_result, path: str) -> None:
    """A second name may be that of a secret: a model from elsewhere could carry it off.

    Raises:
        ModelRefused: The file has one.
    """
    if facts.st_nlink > 1:
        raise ModelRefused(
            f"{path} is a hard link: the same file has another name elsewhere; copy it first"
        )
