"""What the monitor must know of versions, read from the last target and the state directory."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from penstock.monitoring.drift.baseline_files import BASELINE_FILE, BASELINES, BaselineFiles
from penstock.monitoring.drift.known import KnownVersion
from penstock.monitoring.drift.options import DriftOptions
from penstock.monitoring.drift.schema import Schema
from penstock.runtimes.contract import ModelLoadError
from penstock.server.config.model_log import LogOptions
from penstock.server.registry.served_manifest import served_manifest
from penstock.server.target.target import Target, decode_target
from penstock.server.target.target_file import TargetFile

from .acceptance import private_inputs
from .column_names import category_names, column_names

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Below ``state_dir/monitor``.
WINDOWS = "windows.db"


class TargetVersions:
    """Options and baselines of the versions that the workers serve.

    Args:
        target: File of the last target.
        state: ``state_dir/monitor``.
        registry: Directory of the published versions: a private copy has no manifest.
        clock: Unix seconds.
    """

    def __init__(
        self, target: Path, state: Path, registry: Path, clock: Callable[[], float]
    ) -> None:
        self._target = TargetFile(target, decode_target, Target())
        self._registry = registry
        self._files = BaselineFiles(state / BASELINES)
        self._clock = clock

    def options(self, model: str) -> DriftOptions:
        """What ``model.toml`` says; the defaults for a model that is gone."""
        plan = self._target.current().models.get(model)
        return DriftOptions() if plan is None else plan.config.monitoring

    def known(self, model: str, version: str) -> KnownVersion:
        """A new look at a version: a baseline built by an operator comes before a published one."""
        places = [self._files.built(model, version)]
        digest = ""
        names: dict[str, str] = {}
        categories: dict[str, tuple[str, ...]] = {}
        log = LogOptions()
        plan = self._target.current().models.get(model)
        directory = None if plan is None else plan.versions.get(int(version))
        if plan is not None:
            log = plan.config.log
        if directory is not None:
            places.append(directory / BASELINE_FILE)
            with suppress(ModelLoadError, OSError):
                manifest = served_manifest(directory, self._registry / model / version)
                if manifest is not None:
                    digest, names = manifest.digest, column_names(manifest.signature)
                    categories = category_names(manifest.signature)
        learnt = self._files.learnt(model, version)
        schema = Schema(log.subject)
        private = private_inputs(log)
        return KnownVersion(
            self.options(model),
            places,
            learnt,
            digest,
            self._now,
            schema,
            private,
            names,
            self._files.accepted(model, version),
            categories,
        )

    def is_over(self, model: str, version: str, arm: str) -> bool:
        """Whether no rollout of the target has this version in this arm; unknown is not over."""
        del arm
        target = self._target.current()
        if not target.number:
            return False
        plan = target.models.get(model)
        if plan is None:
            return True
        served: set[int | None] = set()
        if plan.split is not None:
            served |= {plan.split.candidate, plan.default}
        if plan.mirror is not None:
            served |= {plan.mirror.candidate, plan.default}
        return version not in {str(one) for one in served}

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")
