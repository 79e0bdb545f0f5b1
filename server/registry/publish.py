"""Publishing a version: staged out of sight, synced, then there at once and for good.

    REGISTRY/<model>/.staging-…    being written; `scan` does not look at hidden entries
    REGISTRY/<model>/<version>/    complete, from the moment it has this name

A crash leaves at most a staging directory, whose lock is gone with its writer; the next push to the
model removes it. Two pushes at once take turns for the number and nothing else.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.atomic_file import sync, write_synced
from penstock.monitoring.files.config_file import read_bounded
from penstock.server.errors import Conflict, InvalidRequest
from penstock.server.files.durable import copy_synced, locked, remove_tree
from penstock.server.onnx_file.inspection import MODEL_FILE, inspect_version
from penstock.server.pipelines.inspection import inspect_pipeline
from penstock.server.pipelines.pipeline_file import PIPELINE_FILE

from .column_file import read_columns
from .column_names import Misnamed, with_classes, with_columns
from .earlier_versions import made_of, same_files
from .manifest import MANIFEST_FILE, FileEntry, Manifest, Run, encode_manifest
from .mlflow_version import mlflow_version_of
from .publish_source import EXAMPLES_FILE
from .repository import MODEL_NAME, VERSION_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from penstock.runtimes.contract import Signature
    from penstock.server.onnx_file.inspection import InspectionLimits

    from .publish_source import PublishSource

STAGING_PREFIX: Final = ".staging-"

_MAX_EXAMPLES_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Details:
    """What is said of a version, beyond its files.

    Attributes:
        created_at: Now, as RFC 3339 in UTC.
        version: Its number; the next free one if ``None``.
        run: Training run that it comes from.
        data_hash, metrics: Of the training data, and of its evaluation.
        examples: A file of golden requests.
        columns: A file that names the columns of a row; see `read_columns`.
        classes: Names of the classes, in the order of the probabilities.
        card, pushed_by: Words of its owner, by key, and the name of the user who publishes.
        metadata: Key/value pairs beside those of the model file.
    """

    created_at: str
    version: int | None = None
    run: Run = field(default_factory=Run)
    data_hash: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    examples: Path | None = None
    columns: Path | None = None
    classes: tuple[str, ...] = ()
    card: Mapping[str, str] = field(default_factory=dict)
    pushed_by: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published:
    """A version that is in the registry now.

    Attributes:
        directory: Directory of the version.
        manifest: Manifest of the version.
        same_as: The newest of the other versions that has the same files; ``None`` if none has, as
            far as their manifests tell.
        new: Whether it was published now: a version of MLflow is published once.
    """

    directory: Path
    manifest: Manifest
    same_as: int | None = None
    new: bool = True


def publish(
    registry: Path,
    model: str,
    source: PublishSource,
    details: Details,
    *,
    check: Callable[[Path], Signature] | None = None,
    limits: InspectionLimits | None = None,
    progress: Callable[[int], None] | None = None,
) -> Published:
    """Publish a version of a model.

    Args:
        registry: The model repository; made if only its last directory is missing.
        model: Its name; made if it is new.
        source: From `find_source`.
        details: Details for the manifest.
        check: Loads the staged directory and gives its signature; its errors stop the push.
        limits: Limits of the inspection.
        progress: Called with the number of bytes copied since the last call.

    Raises:
        InvalidRequest: The name, the number or the examples are wrong.
        Conflict: The version exists; the message names the next free number.
        ModelRefused: It must not be served.
        OSError: The disk; nothing was published.
    """
    if not MODEL_NAME.fullmatch(model):
        raise InvalidRequest(
            f"{model!r} is not a model name; expected letters, digits and . _ - (at most 128)"
        )
    if details.version is not None and not VERSION_NAME.fullmatch(str(details.version)):
        raise InvalidRequest(f"version is {details.version}, expected a whole number from 1")
    examples = None if details.examples is None else read_examples(details.examples)
    home = registry / model
    registry.mkdir(exist_ok=True)
    with _staging(registry, home, details.version) as staging:
        made = dict(source.made) if examples is None else {**source.made, EXAMPLES_FILE: examples}
        copied = [one for one in (source.name, *source.beside) if one not in made]
        entries = [_copy(source, path, staging, progress) for path in copied]
        for name, content in made.items():
            write_synced(staging / name, content, 0o444)
            entries.append(FileEntry(name, len(content), hashlib.sha256(content).hexdigest()))
        if source.name == PIPELINE_FILE:
            inspect_pipeline(staging)
        if source.name == MODEL_FILE:
            inspect_version(staging, limits)
        signature = _named(None if check is None else check(staging), source, details)
        manifest = Manifest(
            model=model,
            version=0,
            files=tuple(entries),
            signature=signature,
            run=replace(details.run, run_id=details.run.run_id or source.run_id),
            data_hash=details.data_hash,
            metrics=details.metrics,
            metadata={**source.metadata, **details.metadata},
            card=details.card,
            pushed_by=details.pushed_by,
            created_at=details.created_at,
        )
        return _take_number(home, staging, manifest, details.version)


def _named(
    signature: Signature | None, source: PublishSource, details: Details
) -> Signature | None:
    """The signature with the names that its owner gives; what MLflow says may not fit.

    Raises:
        InvalidRequest: The owner's names do not fit the model, or nobody knows what it takes.
    """
    if signature is None:
        if details.columns is not None or details.classes:
            raise InvalidRequest("names of columns and classes are checked by loading the model")
        return None
    try:
        if details.columns is not None:
            signature = with_columns(signature, read_columns(details.columns))
        elif source.columns:
            with suppress(Misnamed):
                signature = with_columns(signature, source.columns)
        return with_classes(signature, details.classes) if details.classes else signature
    except Misnamed as error:
        raise InvalidRequest(str(error)) from error


def read_examples(path: Path) -> bytes:
    """The content of a file of golden requests.

    Raises:
        InvalidRequest: It is too large, or neither a list nor an object of JSON.
        OSError: It cannot be read.
    """
    try:
        content = read_bounded(path, _MAX_EXAMPLES_BYTES)
    except OSError as error:
        if error.errno in {errno.EFBIG, errno.EINVAL}:
            raise InvalidRequest(f"{path}: {error.strerror}") from error
        raise
    try:
        decoded = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{path} is not valid JSON: {error}") from error
    if not decoded or not isinstance(decoded, list | dict):
        raise InvalidRequest(f"{path} holds no examples; expected a list of rows or of requests")
    return content


def next_free(home: Path) -> int:
    """The number after the highest one in use, whatever it is that uses it."""
    numbers = (int(one.name) for one in home.iterdir() if VERSION_NAME.fullmatch(one.name))
    return max(numbers, default=0) + 1


def clean_staging(home: Path) -> None:
    """Remove what pushes that did not end left in a model's directory."""
    with locked(home):  # or one that was just made, and is about to be locked, would go
        for leftover in home.glob(f"{STAGING_PREFIX}*"):
            with suppress(OSError), locked(leftover, wait=False):
                remove_tree(leftover)


@contextmanager
def _staging(registry: Path, home: Path, version: int | None) -> Iterator[Path]:
    """A new hidden directory, locked against `clean_staging`; gone at the end unless renamed.

    With it goes the model's directory if nothing is in it: a push that fails leaves nothing behind.
    Directories of models are made and removed with the lock on the registry held, so that no other
    push loses the directory that it is about to stage in.
    """
    path = home / f"{STAGING_PREFIX}{os.getpid()}-{secrets.token_hex(4)}"
    with ExitStack() as stack:
        with locked(registry):
            home.mkdir(exist_ok=True)
            stack.callback(_remove_empty, registry, home)
            sync(registry)
            clean_staging(home)
            _check_free(home, version)  # before the work; the number is taken after it
            with locked(home):
                path.mkdir()
                stack.callback(remove_tree, path)
                stack.enter_context(locked(path))
        yield path


def _remove_empty(registry: Path, home: Path) -> None:
    with suppress(OSError), locked(registry):
        home.rmdir()  # fails if anything is in it


def _copy(
    source: PublishSource, path: str, staging: Path, progress: Callable[[int], None] | None
) -> FileEntry:
    target = staging / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open(path) as (descriptor, size):
        sha256 = copy_synced(descriptor, target, size, progress)
    copied = target.stat().st_size
    if copied != size:
        raise Conflict(f"{source.model} changed while it was copied")
    sync(target.parent)
    return FileEntry(path, size, sha256)


def _take_number(home: Path, staging: Path, manifest: Manifest, wanted: int | None) -> Published:
    """Give the staged version its number and its name."""
    with locked(home):
        before = made_of(home, mlflow_version_of(manifest.metadata), wanted)
        if before is not None:
            return Published(home / str(before.version), before, new=False)
        _check_free(home, wanted)
        version = next_free(home) if wanted is None else wanted
        manifest = replace(manifest, version=version)
        write_synced(staging / MANIFEST_FILE, encode_manifest(manifest), 0o444)
        sync(staging)
        same_as = same_files(home, manifest.digest)
        target = home / str(version)
        try:
            staging.rename(target)
        except OSError as error:  # made by something that knows nothing of the lock
            raise _exists(home, version) from error
    sync(home)
    return Published(target, manifest, same_as)


def _check_free(home: Path, version: int | None) -> None:
    if version is not None and os.path.lexists(home / str(version)):
        raise _exists(home, version)


def _exists(home: Path, version: int) -> Conflict:
    return Conflict(
        f"version {version} of model {home.name!r} exists, and versions never change; the next "
        f"free number is {next_free(home)}"
    )
