"""The ``[runtime]`` settings of an ONNX model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

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
        graph_optimization_level: ``disabled``, ``basic``, ``extended`` or ``all``.
        enable_mem_pattern: Plan memory once per input shape; turn off when shapes vary widely.
        enable_cpu_mem_arena: Keep freed memory; off gives it back at the price of speed.
        batch_axis: Whether rows of several requests may share a run; probed at load when absent.
    """

    providers: tuple[Provider, ...] = ("CPUExecutionProvider",)
    graph_optimization_level: Literal["disabled", "basic", "extended", "all"] = "all"
    enable_mem_pattern: bool = True
    enable_cpu_mem_arena: bool = True
    batch_axis: bool | None = None

    def __post_init__(self) -> None:
        """A session needs a provider.

        Raises:
            ValueError: There is none.
        """
        if not self.providers:
            raise ValueError(
                "providers is [], expected a list of names or [name, {option = value}] pairs, such "
                'as ["CPUExecutionProvider"]'
            )
