"""Baselines on disk, of each version: built from data, taught by traffic, accepted by somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded

from .baseline import MAX_BYTES, Baseline, decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: A baseline that was published beside the files of its version.
BASELINE_FILE = "baseline.json"
#: The directory of the others, below ``state_dir/monitor``.
BASELINES = "baselines"
_BUILT = "built"
_LEARNT = "learnt"
_ACCEPTED = "accepted"


class BaselineFiles:
    """A directory of baselines: ``MODEL/VERSION.KIND.json``.

    The kinds are ``built``, ``learnt`` and ``accepted``. An accepted one takes the place of the
    built one, and of what was learnt before.

    Args:
        directory: Made when something is written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def built(self, model: str, version: str) -> Path:
        """The file of the built baseline."""
        return self._path(model, version, _BUILT)

    def learnt(self, model: str, version: str) -> Path:
        """The file of the learnt baseline."""
        return self._path(model, version, _LEARNT)

    def accepted(self, model: str, version: str) -> Path:
        """The file of the accepted baseline."""
        return self._path(model, version, _ACCEPTED)

    def replace(self, model: str, version: str, baseline: Baseline) -> None:
        """Put a built baseline in place of the built and the accepted one.

        Raises:
            OSError: It cannot be written.
        """
        write_baseline(self.built(model, version), baseline)
        self.accepted(model, version).unlink(missing_ok=True)

    def accept(self, model: str, version: str, baseline: Baseline) -> None:
        """Put an accepted baseline in place of all others.

        Raises:
            OSError: It cannot be written.
        """
        write_baseline(self.accepted(model, version), baseline)
        self.learnt(model, version).unlink(missing_ok=True)

    def forget(self, model: str, version: str) -> None:
        """Remove all: the next rows are the baseline."""
        for kind in (_BUILT, _LEARNT, _ACCEPTED):
            self._path(model, version, kind).unlink(missing_ok=True)

    def _path(self, model: str, version: str, kind: str) -> Path:
        return self._directory / quote(model, safe=" ") / f"{quote(version, safe='')}.{kind}.json"


def read_baseline(path: Path) -> Baseline | None:
    """The baseline in a file; ``None`` if there is none.

    Raises:
        ValueError: It holds something else.
        OSError: It cannot be read.
    """
    try:
        return decode(read_bounded(path, MAX_BYTES))
    except FileNotFoundError:
        return None


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Replace the file at once; what is on disk afterwards is whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(path, encode(baseline))


def input_names(path: Path, digest: str = "", features: Sequence[str] = ()) -> list[str]:
    """The names of the inputs in a baseline, in the order of the model's inputs.

    Args:
        path: The baseline.
        digest: Digest of the version.
        features: Names of all inputs in their order, as the operator wants them.

    Returns:
        Nothing if there is no baseline that can be read, or if it was built for other files.
    """
    try:
        baseline = read_baseline(path)
    except (OSError, ValueError):
        return []
    if baseline is None or not baseline.belongs_to(digest):
        return []
    return in_order([name for name, one in baseline.references.items() if not one.output], features)


def in_order(built: Sequence[str], features: Sequence[str]) -> list[str]:
    """The inputs of a baseline in the order of the model's.

    Args:
        built: As in the baseline, whose table may have them in any order.
        features: Names of all inputs in their order, as the operator wants them.
    """
    return list(features if sorted(built) == sorted(features) else built)
