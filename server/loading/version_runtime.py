"""The runtime that loads a version: that of pipelines, or the plug-in that finds its model file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.discovery import find_runtime
from penstock.server.pipelines.pipeline_file import PIPELINE_FILE
from penstock.server.pipelines.pipeline_runtime import PLATFORM, PipelineRuntime

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.runtimes.contract import Runtime
    from penstock.server.pipelines.pipeline_runtime import StepModel


def runtime_of(
    directory: Path,
    platform: str | None = None,
    steps: Mapping[tuple[str, int], StepModel] | None = None,
) -> tuple[Runtime, Path]:
    """The runtime of a version directory, and the file to give to its ``load``.

    Args:
        directory: Directory of the version.
        platform: Platform that the configuration of the model names.
        steps: The models that the steps of a pipeline may name.

    Raises:
        ModelLoadError: No runtime finds a file, or several do, or the platform is another one.
    """
    path = directory / PIPELINE_FILE
    if not path.is_file():
        return find_runtime(directory, platform)
    if platform is not None:
        raise ModelLoadError(
            f"{path} is a {PLATFORM}, and model.toml says platform = {platform!r}; take that line "
            "out, because each version has the platform of its files"
        )
    return PipelineRuntime(steps or {}), path
