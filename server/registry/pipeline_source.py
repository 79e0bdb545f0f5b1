"""A pipeline that is to be published: the version of each step is looked up and pinned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.config_file import read_bounded
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.roots import roots_of
from penstock.server.pipelines.pins import LOCK_FILE, Pin, encode_lock
from penstock.server.pipelines.pipeline_file import PIPELINE_FILE, parse_pipeline

from .manifest import digest_of
from .publish_source import PublishSource
from .repository import MODEL_NAME, VERSION_NAME
from .verification import hash_files, read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from penstock.server.pipelines.pipeline_file import Step

    #: The aliases of a model.
    Aliases = Callable[[str], Mapping[str, int]]
    #: See `PublishPlace.bring`.
    Bring = Callable[[str, int | None], None]

_SUFFIX: Final = ".toml"
_MAX_BYTES: Final = 64 << 10


def is_pipeline(path: Path) -> bool:
    """True if the user named a pipeline file."""
    return path.suffix == _SUFFIX and path.is_file()


def find_pipeline_source(
    path: Path, registry: Path, aliases: Aliases, bring: Bring = lambda *_: None
) -> PublishSource:
    """Read a pipeline file, and pin the version of each step.

    A step without a version gets the newest one; a step with an alias gets the version that the
    alias points at now.

    Args:
        path: The file.
        registry: The model repository of the steps.
        aliases: The aliases of a model.
        bring: Has versions in the registry, if they are elsewhere.

    Raises:
        ModelRefused: It is no pipeline, or a version is not there.
        OSError: A file cannot be read.
    """
    content = read_bounded(path, _MAX_BYTES)
    file = parse_pipeline(content, str(path))
    pins = tuple(_pin(step, registry, aliases, bring, str(path)) for step in file.steps)
    lock = encode_lock(pins)
    home = path.resolve(strict=True).parent
    return PublishSource(
        path.resolve(strict=True),
        (),
        len(content) + len(lock),
        {f"steps.{pin.step}": f"{pin.model} version {pin.version}" for pin in pins},
        home,
        roots_of(home),
        name=PIPELINE_FILE,
        made={LOCK_FILE: lock},
    )


def _pin(step: Step, registry: Path, aliases: Aliases, bring: Bring, source: str) -> Pin:
    place = f"{source}: steps.{step.name}"
    bring(step.model, None)
    if not MODEL_NAME.fullmatch(step.model) or not (registry / step.model).is_dir():
        raise ModelRefused(
            f"{place}.model is {step.model[:200]!r}, expected a model of the registry"
        )
    home = registry / step.model
    versions = sorted(int(one.name) for one in home.iterdir() if VERSION_NAME.fullmatch(one.name))
    version = _version(step, versions, aliases, place)
    directory = home / str(version)
    if version not in versions:
        known = ", ".join(map(str, versions)) or "none"
        raise ModelRefused(
            f"{place}: version {version} of model {step.model!r} is not there; there are {known}"
        )
    bring(step.model, version)
    if (directory / PIPELINE_FILE).exists():
        raise ModelRefused(
            f"{place}: version {version} of model {step.model!r} is a pipeline itself, expected a "
            "model"
        )
    roots = roots_of(registry)
    manifest = read_manifest(directory, roots)
    entries = hash_files(directory, roots) if manifest is None else manifest.files
    return Pin(step.name, step.model, version, digest_of(entries))


def _version(step: Step, versions: list[int], aliases: Aliases, place: str) -> int:
    if isinstance(step.version, int):
        return step.version
    if step.version is None:
        if not versions:
            raise ModelRefused(f"{place}: model {step.model!r} has no versions")
        return versions[-1]
    known = aliases(step.model)
    if step.version not in known:
        listed = ", ".join(known) or "none"
        raise ModelRefused(
            f"{place}.version is {step.version[:200]!r}, expected a number or an alias of model "
            f"{step.model!r}; its aliases are {listed}"
        )
    return known[step.version]
