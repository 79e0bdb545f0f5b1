"""``pipeline.lock.json``: the version that runs each step, written when a pipeline is published.

The file is one of the files of the version, so the manifest lists it and the digest covers it: a
published pipeline always runs the same versions. A pipeline without this file, such as one that was
copied by hand, names the number of each version in its ``pipeline.toml``.
"""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from penstock.monitoring.files.config_file import read_descriptor
from penstock.monitoring.files.decoding import ContentError, read_json
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.safe_files import open_directory, open_file

from .pipeline_file import PIPELINE_FILE, PipelineFile, parse_pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from penstock.server.files.roots import Roots
    from penstock.server.files.safe_files import Folder

LOCK_FILE: Final = "pipeline.lock.json"
_FORMAT: Final = 1
_MAX_BYTES: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Pin:
    """The version that runs a step.

    Attributes:
        step: Name of the step.
        model: Name of the model.
        version: Number of the version.
        digest: Digest of the files of the version; empty if nobody has said it.
    """

    step: str
    model: str
    version: Annotated[int, msgspec.Meta(ge=1, description="a whole number from 1")]
    digest: str = ""

    @property
    def label(self) -> str:
        """The step and its version, for people."""
        return f"step {self.step!r} (model {self.model!r} version {self.version})"


class _Lock(msgspec.Struct):
    format: Annotated[int, msgspec.Meta(ge=_FORMAT, le=_FORMAT, description=f"{_FORMAT}")]
    steps: list[Pin]


def encode_lock(pins: Sequence[Pin]) -> bytes:
    """The content of the file for these pins."""
    content: dict[str, Any] = {"format": _FORMAT, "steps": [asdict(pin) for pin in pins]}
    return json.dumps(content, indent=2).encode() + b"\n"


def read_pipeline(
    directory: Path, roots: Roots | None = None
) -> tuple[PipelineFile, tuple[Pin, ...]]:
    """The pipeline of a version directory, and a pin for each of its steps in their order.

    Args:
        directory: Directory of the version.
        roots: Directories in which it must lie, and in which links in it may end.

    Raises:
        ModelRefused: The files are no pipeline, or do not say which versions run it.
        OSError: They cannot be read.
    """
    with open_directory(directory, roots) as folder:
        content, lock = _read(folder, PIPELINE_FILE), _read(folder, LOCK_FILE)
    if content is None:
        raise ModelRefused(f"there is no {PIPELINE_FILE}")
    file = parse_pipeline(content)
    return file, _written(file) if lock is None else _locked(file, lock)


def _read(folder: Folder, name: str) -> bytes | None:
    try:
        os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return None
    with open_file(folder, name) as (descriptor, _):
        try:
            return read_descriptor(descriptor, _MAX_BYTES)
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            raise ModelRefused(f"{name} is {error.strerror}") from error


def _written(file: PipelineFile) -> tuple[Pin, ...]:
    """The pins of a pipeline that has no lock."""
    pins = []
    for step in file.steps:
        if not isinstance(step.version, int):
            what = "no version" if step.version is None else f"version {step.version!r}"
            raise ModelRefused(
                f"{PIPELINE_FILE}: step {step.name!r} has {what}, expected a number, because there "
                f"is no {LOCK_FILE}; `penstock push` writes one"
            )
        pins.append(Pin(step.name, step.model, step.version))
    return tuple(pins)


def _locked(file: PipelineFile, content: bytes) -> tuple[Pin, ...]:
    try:
        lock = read_json(_Lock, content, LOCK_FILE)
    except ContentError as error:
        raise ModelRefused(str(error)) from error
    by_step = {pin.step: pin for pin in lock.steps}
    wrong = f"{LOCK_FILE} is not of this {PIPELINE_FILE}:"
    if len(by_step) != len(lock.steps) or by_step.keys() != {step.name for step in file.steps}:
        listed = ", ".join(pin.step for pin in lock.steps)
        raise ModelRefused(f"{wrong} it lists the steps {listed}")
    for step in file.steps:
        pin = by_step[step.name]
        asked = step.version if isinstance(step.version, int) else pin.version
        if (pin.model, pin.version) != (step.model, asked):
            raise ModelRefused(
                f"{wrong} step {step.name!r} has model {pin.model!r} version {pin.version} there"
            )
    return tuple(by_step[step.name] for step in file.steps)
