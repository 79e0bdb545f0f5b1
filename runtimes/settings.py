"""``[runtime]`` of ``model.toml``: the settings of a runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from .contract import ModelLoadError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NoSettings:
    """The settings of a runtime that has none."""


def read_settings(kind: type[T], settings: Any, source: str = "model.toml") -> T:
    """The settings as the type that the runtime declares.

    The interpreter of a model's own virtual environment may lack the decoder. The server then reads
    the settings, and this function gives them back as they are.

    Args:
        kind: A dataclass. Its fields have types of the standard library.
        settings: Decoded TOML, or settings that have been read.
        source: Names the file in errors.

    Raises:
        ModelLoadError: An unknown key, or a value that is not what was expected.
    """
    if isinstance(settings, kind):
        return settings
    if not settings:
        return kind()
    from penstock.monitoring.files.decoding import convert  # see above

    plain = dict(settings)
    return convert(
        kind, plain, source, "runtime", closed=True, noun="a table", error=ModelLoadError
    )
