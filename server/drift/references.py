"""The references of a baseline in force, found among the files of its version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.monitoring.drift.baseline import FROM_TRAFFIC
from penstock.monitoring.drift.baseline_files import BASELINE_FILE, read_baseline

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.monitoring.drift.baseline import Reference
    from penstock.monitoring.drift.baseline_files import BaselineFiles


class References:
    """The baselines of the versions of a model, on disk.

    Args:
        files: Baselines that were built, learnt and accepted.
        published: Directories of versions, by version.
    """

    def __init__(self, files: BaselineFiles, published: Mapping[int, Path]) -> None:
        self._files = files
        self._published = {str(one): path for one, path in published.items()}

    def in_force(self, model: str, version: str, baseline: str) -> dict[str, Reference]:
        """References by name.

        Args:
            model: Name of the model.
            version: As the registry has it.
            baseline: Id of the baseline in force; what was learnt for features that it has not
                belongs to it.

        Returns:
            Empty if none of the files is it.
        """
        files = self._files
        paths = [files.accepted(model, version), files.built(model, version)]
        if version in self._published:
            paths.append(self._published[version] / BASELINE_FILE)
        paths.append(files.learnt(model, version))
        found: dict[str, Reference] = {}
        for path in paths:
            try:
                one = read_baseline(path)
            except (OSError, ValueError):
                continue
            if one is not None and (one.id == baseline or one.source == FROM_TRAFFIC):
                found = {**one.references, **found}
        return found
