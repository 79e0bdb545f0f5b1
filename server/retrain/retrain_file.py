"""The state file of all retrainings: it outlives the process, so that no run is started twice."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import ContentError, read_json

from .run import Run  # msgspec reads the annotations

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("penstock.retrain")

#: In the state directory.
FILE: Final = "retrain.json"
#: Runs of one model that are remembered, the newest.
KEPT: Final = 20
_MAX_BYTES: Final = 64 << 20


class ModelRuns(msgspec.Struct, frozen=True):
    """What is remembered of one model.

    Attributes:
        since: Since when this server knows of its retraining, Unix seconds.
        runs: The newest last.
        counts: How many runs ended so, by phase, also those that are forgotten.
    """

    since: float
    runs: tuple[Run, ...] = ()
    counts: dict[str, int] = {}

    @property
    def last(self) -> Run | None:
        """The newest run."""
        return self.runs[-1] if self.runs else None

    def with_run(self, run: Run) -> ModelRuns:
        """With a run in place of the one of its id, or added."""
        known = {one.id: one for one in self.runs}
        before = known.get(run.id)
        counts = dict(self.counts)
        if run.final and (before is None or not before.final):
            counts[run.phase] = counts.get(run.phase, 0) + 1
        runs = tuple((known | {run.id: run}).values())
        return replace(self, runs=runs[-KEPT:], counts=counts)


class _File(msgspec.Struct):
    models: dict[str, ModelRuns] = {}


class RetrainFile:
    """The file, open in one process. Safe to use from threads.

    Args:
        path: Path of the file; made with the first change.

    Attributes:
        problem: Why the file could not be read; then nothing starts by itself.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._models: dict[str, ModelRuns] = {}
        self.problem = ""
        try:
            self._models = read_json(_File, read_bounded(path, _MAX_BYTES), str(path)).models
        except FileNotFoundError:
            pass
        except (ContentError, OSError) as error:
            self.problem = f"{error}; move the file away to begin anew"
            LOG.error("%s", self.problem)  # noqa: TRY400  one line says it

    def of(self, model: str) -> ModelRuns | None:
        """What is remembered of a model."""
        return self._models.get(model)

    def put(self, model: str, runs: ModelRuns) -> None:
        """Remember this of a model; on disk when this returns. Blocking.

        Raises:
            OSError: It is not on disk, and nothing has changed.
        """
        if self.problem:
            raise OSError(self.problem)
        with self._lock:
            models = {**self._models, model: runs}
            replace_file(self._path, msgspec.json.encode(_File(models)), 0o600)
            self._models = models
