"""Loads a version that is published, as a server with this configuration would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.server.config.model_config import ModelConfig, read_model_config
from penstock.server.files.config_error import ConfigError
from penstock.server.files.refusal import ModelRefused
from penstock.server.onnx_file.inspection import InspectionLimits
from penstock.server.pipelines.pin_reader import pins_of
from penstock.server.pipelines.pipeline_runtime import StepModel

from .golden_examples import mismatches, read_examples
from .model_opener import check_permission, load_options
from .version_runtime import runtime_of

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.runtimes.contract import Model, Signature
    from penstock.server.config.config import ServerConfig


def signature_of(config: ServerConfig, name: str, directory: Path) -> Signature:
    """Load the version, and send it its golden requests.

    Args:
        config: Of a server of the registry where the version is published.
        name: Name of the model.
        directory: Directory of the version.

    Raises:
        ModelRefused: It answers one of them otherwise than stored, or not at all; or nobody has
            allowed it to run code of its own.
    """
    steps = _steps(directory, config)
    model = _load(name, directory, config, steps)
    try:
        reasons = mismatches(model, read_examples(directory, model.signature))
        if reasons:
            raise ModelRefused(*reasons)
        return model.signature
    finally:
        for one in (model, *(step.model for step in steps.values())):
            one.unload()


def inspection_limits(config: ServerConfig) -> InspectionLimits:
    """What the inspection of an ONNX file accepts, as a server with this configuration."""
    return InspectionLimits(custom_operators=bool(config.libraries()))


def _load(
    name: str, directory: Path, config: ServerConfig, steps: dict[tuple[str, int], StepModel]
) -> Model:
    settings = _settings_of(directory.parent)
    runtime, path = runtime_of(directory, settings.platform, steps)
    check_permission(runtime, name, config)
    return runtime.load(path, load_options(settings, directory, config))


def _settings_of(home: Path) -> ModelConfig:
    """The configuration of a model, as the server would read it; the default if it has errors."""
    path = home / "model.toml"
    try:
        return read_model_config(path) if path.exists() else ModelConfig()
    except ConfigError:  # which the note on the traffic of the version shows
        return ModelConfig()


def _steps(directory: Path, config: ServerConfig) -> dict[tuple[str, int], StepModel]:
    """The loaded models of the steps of a pipeline; none for another model."""
    found = {}
    for pin in pins_of(directory):
        place = config.registry / pin.model / str(pin.version)
        model = _load(pin.model, place, config, {})
        found[pin.model, pin.version] = StepModel(model, pin.digest)
    return found
