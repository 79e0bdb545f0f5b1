"""Inputs that the owner of a model declares in ``[runtime]`` of ``model.toml``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.runtimes.contract import VARIABLE, ModelLoadError, TensorSpec
from penstock.runtimes.datatypes import NUMPY_OF

if TYPE_CHECKING:
    from .settings import TorchSettings


def declared_inputs(settings: TorchSettings) -> tuple[TensorSpec, ...] | None:
    """The inputs in the order of the arguments; ``None`` where nothing is declared.

    Raises:
        ModelLoadError: A datatype or a shape cannot be one.
    """
    if settings.inputs is None:
        return None
    wanted = 'a table such as { x = ["FP32", [-1, 4]] }'
    if not settings.inputs:
        raise ModelLoadError(f"model.toml: runtime.inputs is empty, expected {wanted}")
    for name, (datatype, shape) in settings.inputs.items():
        if datatype not in NUMPY_OF or datatype == "BYTES" or any(one < VARIABLE for one in shape):
            raise ModelLoadError(
                f"model.toml: runtime.inputs.{name} is {[datatype, [*shape]]}, expected {wanted}"
            )
    return tuple(TensorSpec(name, *one) for name, one in settings.inputs.items())
