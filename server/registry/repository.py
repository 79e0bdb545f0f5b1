"""The model repository on disk, one directory at a time: what is a model, and what is wrong.

    REGISTRY/<model>/<version>/…      a version is a positive integer without leading zeros
    REGISTRY/<model>/model.toml       optional

Anything else is left alone: hidden entries, plain files, directories beside the versions. An entry
that looks meant but cannot be used is a `Problem` of its own and disturbs no other. Symbolic links
are followed only to where `penstock.server.files.roots` lets them end.
`penstock.server.registry.survey` reads it all.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.config_file import read_descriptor
from penstock.server.config.model_config import ModelConfig, config_digest, decode_model_config
from penstock.server.config.version_policy import default_version, served_versions
from penstock.server.files.config_error import ConfigError
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.roots import OWN, Roots
from penstock.server.files.safe_files import open_directory, open_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from .good_configs import GoodConfigs

MODEL_FILE: Final = "model.toml"

MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
VERSION_NAME: Final = re.compile(r"[1-9][0-9]{0,17}")
#: What people call versions elsewhere.
_ALMOST: Final = re.compile(
    r"(?:(?:v|ver|version)[-_.]?)?([0-9]{1,18})(?:[._-][0-9]+)*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the repository that cannot be served, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model directory.

    Attributes:
        name: Name of the model.
        path: Its directory.
        versions: Version -> its directory, ascending.
        config: From ``model.toml``; what a model without one has, if there is none.
        config_digest: Names the configuration.
    """

    name: str
    path: Path
    versions: Mapping[int, Path]
    config: ModelConfig
    config_digest: str = ""

    @property
    def served(self) -> tuple[int, ...]:
        """The versions that the policy serves, ascending."""
        return served_versions(self.config.version_policy, self.versions)

    @property
    def default(self) -> int | None:
        """The version that answers when none is named."""
        return default_version(self.served, self.config.default_version)


@dataclass(frozen=True, slots=True)
class RegistrySnapshot:
    """The content of the repository at the time it was read.

    Attributes:
        models: By name, in alphabetical order.
        problems: Paths that could not be used, with the reason.
        roots: Directories in which links in it may end.
    """

    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    roots: Roots = OWN


def model_directories(
    registry: Path, roots: Roots, problems: list[Problem], known: Collection[Path] = ()
) -> list[Path]:
    """The model directories in alphabetical order.

    Args:
        registry: As configured.
        roots: Directories in which links may end.
        problems: Takes what looks meant but cannot be used.
        known: Those of the last look: one that cannot be read now is still one.

    Raises:
        OSError: It is not a directory that can be read.
    """
    paths = []
    for path in _directories(sorted(registry.iterdir()), roots, problems, known):
        if MODEL_NAME.fullmatch(path.name):
            paths.append(path)
        else:
            reason = "not a model name; expected letters, digits and . _ - (at most 128)"
            problems.append(Problem(path, reason))
    return paths


def read_model(
    path: Path,
    roots: Roots,
    problems: list[Problem],
    good: GoodConfigs,
    before: ModelEntry | None = None,
) -> ModelEntry | None:
    """One model directory; ``None`` if nothing in it can be served.

    Args:
        path: Path of the directory.
        roots: Directories in which links may end.
        problems: Takes what cannot be used.
        good: The last good configurations: with a bad one, a model goes on with its last good one.
        before: The entry of the last scan: a version that cannot be read now still is a version.

    Raises:
        OSError: The directory cannot be read now.
    """
    entries = sorted(path.iterdir())
    known = () if before is None else before.versions.values()
    found = list(_directories(entries, roots, problems, known))
    numbers = (one for one in found if VERSION_NAME.fullmatch(one.name))
    versions = dict(sorted((int(one.name), one) for one in numbers))
    problems += _oddities(entries)
    if not versions:
        problems.append(Problem(path, "no versions; expected directories named 1, 2, …"))
        return None
    try:
        content = _config_content(path / MODEL_FILE, roots)
        model = _entry(path, versions, content)
    except ConfigError as error:
        return _with_last_good(path, versions, problems, good, str(error))
    good.remember(path.name, content)
    wanted = model.config.default_version
    if wanted is not None and wanted not in (model.served or versions):
        problems.append(
            Problem(path / MODEL_FILE, f"default_version {wanted} is not served; using the highest")
        )
    return model


def _with_last_good(
    path: Path,
    versions: Mapping[int, Path],
    problems: list[Problem],
    good: GoodConfigs,
    reason: str,
) -> ModelEntry | None:
    """The model as it was configured before, if it ever was; the problem says which."""
    file = path / MODEL_FILE
    if path.name in good:
        try:
            model = _entry(path, versions, good.recall(path.name))
        except ConfigError:
            pass  # its versions went away, or this server knows fewer settings than an older one
        else:
            problems.append(
                Problem(file, f"{reason}; {path.name} goes on with its last good configuration")
            )
            return model
    problems.append(Problem(file, f"{reason}; {path.name} is not served until that is corrected"))
    return None


def _entry(path: Path, versions: Mapping[int, Path], content: bytes | None) -> ModelEntry:
    """The model with this content of its ``model.toml``.

    Raises:
        ConfigError: It is not valid, or serves none of the versions.
    """
    file = path / MODEL_FILE
    config = ModelConfig() if content is None else decode_model_config(content, str(file))
    model = ModelEntry(path.name, path, versions, config, config_digest(config))
    if not model.served and not config.version_policy.explicit:
        raise ConfigError(f"{file}: version_policy serves none of the versions")
    return model


def _config_content(path: Path, roots: Roots) -> bytes | None:
    """What ``model.toml`` holds; ``None`` if there is none.

    Raises:
        ConfigError: It is no small regular file in the registry, or cannot be read now.
    """
    try:
        with open_directory(path.parent, roots) as folder:
            if not os.path.lexists(path):
                return None
            with open_file(folder, path.name) as (descriptor, _):
                content = read_descriptor(descriptor)
        content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: it is not UTF-8: {error.reason}") from error
    except ModelRefused as refusal:
        raise ConfigError(f"{path}: {refusal}") from refusal
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    return content


def _oddities(entries: list[Path]) -> Iterator[Problem]:
    """What lies beside the versions and was probably meant to be used, and what to do about it."""
    for path in entries:
        if path.name == "config.pbtxt":
            yield Problem(
                path,
                "this file of Triton's is not read, and none of its fields is honoured: say what "
                "matters in model.toml (max_batch_size is batching.max_batch_size there, "
                "version_policy has its name, threads of a run are threads)",
            )
        elif path.name == "model.onnx":
            yield Problem(path, "a model that lies in no version; move it to 1/model.onnx")
        elif (match := _ALMOST.fullmatch(path.name)) and not VERSION_NAME.fullmatch(path.name):
            yield Problem(
                path,
                "not a version, and not served: versions are named 1, 2, …; rename it to "
                f"{int(match[1]) or 1} if it is one",
            )


def _directories(
    entries: list[Path], roots: Roots, problems: list[Problem], known: Collection[Path]
) -> Iterator[Path]:
    for path in entries:
        if path.name.startswith("."):
            continue
        try:
            if _is_directory(path, roots):
                yield path
        except ModelRefused as refusal:
            problems.append(Problem(path, str(refusal)))
        except OSError as error:
            problems.append(Problem(path, f"cannot be read: {error.strerror or error}"))
            if path in known:
                yield path


def _is_directory(path: Path, roots: Roots) -> bool:
    """Whether it is one, or a link to one.

    Raises:
        ModelRefused: A link leads to where none may end, or to nothing.
        OSError: Nobody can tell now.
    """
    try:
        if not path.is_symlink():
            return stat.S_ISDIR(path.stat().st_mode)
        roots.check_directory(path)
    except NotADirectoryError:
        return False
    except FileNotFoundError:
        if path.is_symlink():
            raise ModelRefused(f"a symbolic link to nothing: {path.readlink()}") from None
        return False
    return True
