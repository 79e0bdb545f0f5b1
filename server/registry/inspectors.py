"""Chooses the inspection of a version by its files, before anything of it is loaded."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.runtimes.discovery import built_in_platform
from penstock.server.onnx_file.inspection import MODEL_FILE, inspect_version
from penstock.server.pipelines.inspection import inspect_pipeline
from penstock.server.pipelines.pipeline_file import PIPELINE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from penstock.server.files.listing import FileFact
    from penstock.server.files.roots import Roots
    from penstock.server.onnx_file.inspection import InspectionLimits

    from .intake_result import Candidate

#: Platforms whose files can be inspected; ``None`` stands for a model that names no platform.
_KNOWN: Final = (None, "onnx_onnxv1")


class Inspectors:
    """The inspections of versions.

    Args:
        limits: Limits of that of ONNX models.
        plugins: Whether runtimes of others are installed, whose files cannot be inspected.
    """

    def __init__(self, limits: InspectionLimits | None = None, *, plugins: bool = False) -> None:
        self._limits = limits
        self._plugins = plugins

    def of(self, candidate: Candidate, files: Iterable[FileFact]) -> Callable[..., object]:
        """The inspection of a version: it takes a directory, and the keyword ``roots``."""
        paths = [fact.path for fact in files]
        if PIPELINE_FILE in paths:
            return inspect_pipeline
        foreign = not any(path.endswith(MODEL_FILE) for path in paths)
        known = not foreign or not (self._plugins or built_in_platform(candidate.directory))
        if not known or candidate.platform not in _KNOWN:
            return _let_pass
        return partial(inspect_version, limits=self._limits)


def _let_pass(_directory: Path, *, roots: Roots | None) -> None:
    """Accept files of other runtimes without inspection."""
    del roots
