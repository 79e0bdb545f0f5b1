"""The ``[runtime]`` settings of a model, checked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from .contract import ModelLoadError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Our names of onnxruntime's ``GraphOptimizationLevel``.
OPTIMIZATION_LEVELS: Final = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}

#: A provider's name, or its name and options, as onnxruntime takes them.
Provider = str | tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class OnnxSettings:
    """How to make the onnxruntime session.

    Attributes:
        providers: Execution providers by precedence: names, or ``[name, {option = value}]`` pairs.
        graph_optimization_level: A key of `OPTIMIZATION_LEVELS`.
        enable_mem_pattern: Plan memory once per input shape; turn off when shapes vary widely.
        enable_cpu_mem_arena: Keep freed memory; off gives it back at the price of speed.
        batch_axis: Whether rows of several requests may share a run; probed at load when absent.
    """

    providers: tuple[Provider, ...] = ("CPUExecutionProvider",)
    graph_optimization_level: str = "all"
    enable_mem_pattern: bool = True
    enable_cpu_mem_arena: bool = True
    batch_axis: bool | None = None

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> OnnxSettings:
        """Settings from decoded TOML.

        Raises:
            ModelLoadError: An unknown name or an impossible value; says what is accepted.
        """
        accepted = [field.name for field in fields(cls)]
        for name, value in settings.items():
            if name not in accepted:
                raise ModelLoadError(
                    f"unknown onnx setting {name!r}; accepted: {', '.join(accepted)}"
                )
            if name == "graph_optimization_level":
                if not isinstance(value, str) or value not in OPTIMIZATION_LEVELS:
                    levels = ", ".join(OPTIMIZATION_LEVELS)
                    raise ModelLoadError(f"onnx setting {name} must be one of {levels}: {value!r}")
            elif name != "providers" and not isinstance(value, bool):
                raise ModelLoadError(f"onnx setting {name} must be true or false: {value!r}")
        checked = dict(settings)
        if "providers" in checked:
            checked["providers"] = _providers(checked["providers"])
        return cls(**checked)


def _providers(value: object) -> tuple[Provider, ...]:
    if isinstance(value, list | tuple) and value:
        providers = tuple(_provider(item) for item in value)
        if None not in providers:
            return tuple(provider for provider in providers if provider is not None)
    raise ModelLoadError(
        "onnx setting providers must be a list of names or [name, {option = value}] pairs, "
        f'such as ["CPUExecutionProvider"]: {value!r}'
    )


def _provider(item: object) -> Provider | None:
    match item:
        case str(name):
            return name
        case [str(name), dict(options)]:
            return name, options
        case _:
            return None
