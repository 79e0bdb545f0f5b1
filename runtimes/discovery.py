"""Finds the installed runtimes, and the one for a version directory.

A plug-in registers its class under the entry point group ``penstock.runtimes``.
"""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .contract import ModelLoadError
from .library import library_of
from .model_files import ModelFile, read_head

if TYPE_CHECKING:
    from .contract import Runtime

ENTRY_POINT_GROUP: Final = "penstock.runtimes"
#: Of the entry points of this project.
_BUILT_IN: Final = "penstock.runtimes."

_logger = logging.getLogger(__name__)


@cache
def runtimes() -> dict[str, Runtime]:
    """The installed runtimes by platform, made on the first call; do not change it.

    A plug-in that cannot be imported or made is logged and left out: it must not keep the others
    from serving.

    Raises:
        ModelLoadError: Two plug-ins claim the same platform, so which one is meant is not known.
    """
    from importlib.metadata import entry_points  # slow and large

    found: dict[str, Runtime] = {}
    providers: dict[str, str] = {}
    # Two distributions may announce one and the same class: this project had another name before.
    entries = {(one.name, one.value): one for one in entry_points(group=ENTRY_POINT_GROUP)}
    for _, entry in sorted(entries.items()):
        try:
            runtime: Runtime = entry.load()()
            platform = runtime.platform
        except Exception:  # a plug-in may fail in any way
            _logger.exception("runtime %s (%s) is left out", entry.name, entry.value)
            continue
        if platform in found:
            raise ModelLoadError(
                f"platform {platform!r} is claimed by {providers[platform]} and {entry.value}; "
                "uninstall one"
            )
        found[platform] = runtime
        providers[platform] = entry.value
    return found


@cache
def library_versions() -> dict[str, str]:
    """Name and version of the library of each installed runtime, by platform; do not change it.

    A runtime that does not name its library is left out; a library that is not installed is empty.
    """
    needed = ((platform, library_of(runtime)) for platform, runtime in sorted(runtimes().items()))
    return {platform: one.version for platform, one in needed if one is not None}


@cache
def only_built_in() -> bool:
    """Whether no plug-in of others is installed. Imports none of the runtimes."""
    from importlib.metadata import entry_points  # slow and large

    return all(one.value.startswith(_BUILT_IN) for one in entry_points(group=ENTRY_POINT_GROUP))


@cache
def _built_in() -> tuple[Runtime, ...]:
    """The runtimes of this project, which may be asked in any process."""
    from importlib.metadata import entry_points  # slow and large

    entries = {one.value: one for one in entry_points(group=ENTRY_POINT_GROUP)}
    ours = (one for value, one in sorted(entries.items()) if value.startswith(_BUILT_IN))
    return tuple(one.load()() for one in ours)


def built_in_platform(directory: Path) -> str:
    """The platform of the runtime of this project that finds a model file; empty if none does."""
    return next((one.platform for one in _built_in() if one.find(directory) is not None), "")


def name_in_version(path: Path) -> str | None:
    """How a model file is called in a version directory; ``None`` if no runtime knows its kind.

    A file is known by its name, else by its first bytes, else by the ending of its name: a runtime
    is asked what it finds in a directory that has this file alone.
    """
    kinds = _kinds()
    head = read_head(path)
    named = [kind.name for kind in kinds if kind.name == path.name]
    told = [kind.name for kind in kinds if kind.fits(head)]
    if named or told:
        suffix = path.suffix
        return (named or sorted(told, key=lambda name: Path(name).suffix != suffix))[0]
    import tempfile  # by `penstock push` of an unusual name only

    with tempfile.TemporaryDirectory() as alone:
        for name in (path.name, f"model{path.suffix}"):
            linked = Path(alone, name)
            linked.symlink_to(path.absolute())
            if any(one.find(Path(alone)) == linked for one in runtimes().values()):
                return name
            linked.unlink()
    return None


def endings_beside(name: str) -> tuple[str, ...]:
    """Endings of files that belong to a model file of this name, as runtimes say."""
    return tuple(ending for kind in _kinds() if kind.name == name for ending in kind.beside)


def _kinds() -> list[ModelFile]:
    files = (getattr(one, "files", ()) for one in runtimes().values())
    return [kind for some in files for kind in some if isinstance(kind, ModelFile)]


def find_runtime(directory: Path, platform: str | None = None) -> tuple[Runtime, Path]:
    """The runtime that serves a version directory, and the model file to give to its ``load``.

    Args:
        directory: Directory of one version.
        platform: Name of the runtime; without it, the only one that finds a model file.

    Raises:
        ModelLoadError: An unknown platform, no model file, or files of several platforms.
    """
    installed = runtimes()
    names = ", ".join(sorted(installed)) or "none"
    if platform is not None and platform not in installed:
        raise ModelLoadError(f"unknown platform {platform!r}; installed: {names}")
    candidates = installed if platform is None else {platform: installed[platform]}
    matches = {
        name: (runtime, path)
        for name, runtime in candidates.items()
        if (path := runtime.find(directory)) is not None
    }
    if len(matches) > 1:
        raise ModelLoadError(
            f"{directory} has model files of several platforms; choose one: "
            f"{', '.join(sorted(matches))}"
        )
    if not matches:
        wanted = f"platforms {names}" if platform is None else f"platform {platform!r}"
        raise ModelLoadError(f"no model file in {directory} for {wanted}")
    return next(iter(matches.values()))


def wants_process(runtime: Runtime) -> bool:
    """Whether a runtime wants processes of their own for its models."""
    return getattr(runtime, "isolated", False) is True


def runs_code(runtime: Runtime) -> bool:
    """Whether a runtime runs code of the model's files, which an operator has to allow."""
    return getattr(runtime, "runs_code", False) is True
