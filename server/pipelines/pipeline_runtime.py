"""The runtime of pipelines: finds their files, and puts the loaded models of the steps together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from penstock.runtimes.settings import NoSettings, read_settings
from penstock.server.files.refusal import ModelRefused

from .pipeline_file import PIPELINE_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.runtimes.contract import LoadOptions, Model

    from .pins import Pin
    from .pipeline_model import PipelineModel

PLATFORM: Final = "pipeline"


@dataclass(frozen=True, slots=True)
class StepModel:
    """The loaded model of a step.

    Attributes:
        model: The model.
        digest: Digest of its files; empty if it is not known.
    """

    model: Model
    digest: str = ""


@dataclass(frozen=True, slots=True)
class PipelineRuntime:
    """Implements `penstock.runtimes.contract.Runtime`.

    Attributes:
        steps: The models that steps may name, by name and version.
    """

    steps: Mapping[tuple[str, int], StepModel] = field(default_factory=dict)
    platform: str = PLATFORM

    def find(self, directory: Path) -> Path | None:
        """``pipeline.toml``."""
        path = directory / PIPELINE_FILE
        return path if path.is_file() else None

    def load(self, path: Path, options: LoadOptions) -> PipelineModel:
        """Put the models of the steps together.

        Raises:
            ModelRefused: The files are no pipeline, a model is not there, or the steps do not fit.
            ModelLoadError: There are settings.
            OSError: The files cannot be read.
        """
        from penstock.server.files.roots import OWN

        from .pins import read_pipeline  # with numpy: control only looks for files
        from .pipeline_model import PipelineModel
        from .wiring import Wiring

        read_settings(NoSettings, options.settings)
        file, pins = read_pipeline(path.parent, OWN)
        models = [self._model(pin) for pin in pins]
        wiring = Wiring(file, pins, [model.signature for model in models])
        return PipelineModel(wiring, pins, models)

    def _model(self, pin: Pin) -> Model:
        found = self.steps.get((pin.model, pin.version))
        if found is None:
            raise ModelRefused(f"{pin.label}: the version is not loaded")
        if pin.digest and found.digest and pin.digest != found.digest:
            raise ModelRefused(
                f"{pin.label}: the version has other files than when the pipeline was published: "
                f"{found.digest}, expected {pin.digest}"
            )
        return found.model
