"""The model repository on disk, one directory at a time: what is a model, and what is wrong.

    REGISTRY/<model>/<version>/…      a version is a positive integer without leading zeros
    REGISTRY/<model>/model.toml       optional

Anything else is left alone: hidden entries, plain files, directories beside the versions. An entry
that looks meant but cannot be used is a `Problem` of its own and disturbs no other. Symbolic links
are followed only to places inside the repository. `penstock.server.registry.survey` reads it all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from penstock.server.model_config import ModelConfig, read_model_config
from penstock.server.options import ConfigError
from penstock.server.registry.version_policy import default_version, served_versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

MODEL_FILE: Final = "model.toml"

MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
VERSION_NAME: Final = re.compile(r"[1-9][0-9]{0,17}")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the repository that cannot be served, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model directory.

    Attributes:
        name: Of the model.
        path: Its directory.
        versions: Version -> its directory, ascending.
        config: From ``model.toml``; what a model without one has, if there is none.
    """

    name: str
    path: Path
    versions: Mapping[int, Path]
    config: ModelConfig

    @property
    def served(self) -> tuple[int, ...]:
        """The versions that the policy serves, ascending."""
        return served_versions(self.config.version_policy, self.versions)

    @property
    def default(self) -> int | None:
        """Which of them answers when none is named."""
        return default_version(self.served, self.config.default_version)


@dataclass(frozen=True, slots=True)
class RegistrySnapshot:
    """What the repository held when it was read.

    Attributes:
        models: By name, in alphabetical order.
        problems: What could not be used.
    """

    models: Mapping[str, ModelEntry] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def model_directories(registry: Path, problems: list[Problem]) -> tuple[Path, list[Path]]:
    """The registry without links, and its model directories in alphabetical order.

    Args:
        registry: As configured.
        problems: Takes what looks meant but cannot be used.

    Raises:
        ConfigError: It is not a directory that can be read.
    """
    try:
        root = registry.resolve(strict=True)
        entries = sorted(root.iterdir())
    except OSError as error:
        raise ConfigError(
            f"registry {registry} cannot be read: {error.strerror}; "
            "expected a directory of model directories"
        ) from error
    paths = []
    for path in _directories(entries, root, problems):
        if MODEL_NAME.fullmatch(path.name):
            paths.append(path)
        else:
            reason = "not a model name; expected letters, digits and . _ - (at most 128)"
            problems.append(Problem(path, reason))
    return root, paths


def read_model(path: Path, root: Path, problems: list[Problem]) -> ModelEntry | None:
    """One model directory; ``None`` if nothing in it can be served."""
    try:
        entries = sorted(path.iterdir())
        config = ModelConfig()
        if (path / MODEL_FILE).exists():
            config = read_model_config(_inside(path / MODEL_FILE, root))
    except OSError as error:
        problems.append(Problem(path, f"cannot be read: {error.strerror or error}"))
        return None
    except ConfigError as error:
        problems.append(Problem(path / MODEL_FILE, str(error)))
        return None
    versions = {
        int(entry.name): entry
        for entry in _directories(entries, root, problems)
        if VERSION_NAME.fullmatch(entry.name)
    }
    model = ModelEntry(path.name, path, dict(sorted(versions.items())), config)
    if not versions:
        problems.append(Problem(path, "no versions; expected directories named 1, 2, …"))
        return None
    if not model.served and not config.version_policy.explicit:
        problems.append(Problem(path / MODEL_FILE, "version_policy serves none of the versions"))
        return None
    wanted = config.default_version
    if wanted is not None and wanted not in (model.served or versions):
        problems.append(
            Problem(path / MODEL_FILE, f"default_version {wanted} is not served; using the highest")
        )
    return model


def _directories(entries: list[Path], root: Path, problems: list[Problem]) -> Iterator[Path]:
    for path in entries:
        if path.name.startswith("."):
            continue
        try:
            if path.is_dir():
                _inside(path, root)
                yield path
        except OSError as error:
            problems.append(Problem(path, f"cannot be read: {error.strerror or error}"))


def _inside(path: Path, root: Path) -> Path:
    if not path.resolve(strict=True).is_relative_to(root):
        raise OSError(f"a symbolic link that leads out of the registry: {path.readlink()}")
    return path
