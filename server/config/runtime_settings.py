"""``platform`` and ``[runtime]`` of ``model.toml``: what is known before a load."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.wording import did_you_mean, shown
from penstock.runtimes.contract import ModelLoadError
from penstock.runtimes.discovery import only_built_in, runtimes
from penstock.runtimes.onnx_settings import OnnxSettings
from penstock.runtimes.row_settings import RowSettings
from penstock.runtimes.settings import NoSettings, read_settings
from penstock.runtimes.sklearn.settings import SklearnSettings
from penstock.runtimes.torch.settings import TorchSettings
from penstock.server.files.config_error import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_ONNX: Final = "onnx_onnxv1"
#: The settings of the runtimes of this project, so that no process has to import the runtimes. Any
#: key may be a setting of a Python model.
SETTINGS: Final[dict[str, type]] = {
    _ONNX: OnnxSettings,
    "sklearn": SklearnSettings,
    "torch": TorchSettings,
    "xgboost": NoSettings,
    "lightgbm": NoSettings,
    "catboost": NoSettings,
    "openvino": RowSettings,
    "litert": RowSettings,
}


def check_runtime(platform: str | None, settings: Mapping[str, Any], source: str) -> None:
    """Check ``platform`` and ``[runtime]``; `source` names the file in errors.

    With plug-ins installed only they know their names and settings: then a load says it.

    Raises:
        ConfigError: There is no such runtime, or it does not take these settings.
    """
    if platform in SETTINGS:
        kinds = [SETTINGS[platform]]
    elif not only_built_in():
        return
    elif platform is None:
        kinds = list(dict.fromkeys(SETTINGS.values()))
    else:
        _check_platform(platform, source)
        return
    refusals: dict[type, str] = {}
    for kind in kinds:
        try:
            read_settings(kind, settings, source)
        except ModelLoadError as error:
            refusals[kind] = str(error)
        else:
            return
    kind = max(kinds, key=lambda one: _resemblance(one, settings))  # the first of equals
    if platform is None and not _resemblance(kind, settings):
        return  # they may be those of a Python model
    raise ConfigError(refusals[kind])


def _check_platform(platform: str, source: str) -> None:
    if platform not in runtimes():
        known = ", ".join(sorted(map(repr, runtimes()), key=lambda name: name != repr(_ONNX)))
        raise ConfigError(
            f"{source}: platform is {shown(platform)}, expected {known}: the installed ones"
        )


def _resemblance(kind: type, settings: Mapping[str, Any]) -> int:
    """How many keys are settings of the kind, or nearly."""
    known = [one.name for one in fields(kind)]
    return sum(bool(key in known or did_you_mean(key, known)) for key in settings)
