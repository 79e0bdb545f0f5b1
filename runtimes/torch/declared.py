"""Inputs that the owner of a model declares in ``[runtime]`` of ``model.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from penstock.runtimes.contract import VARIABLE, ModelLoadError, TensorSpec
from penstock.runtimes.datatypes import NUMPY_OF

if TYPE_CHECKING:
    from penstock.runtimes.contract import LoadOptions

_KEYS: Final = ("inputs", "outputs", "batch_axis")


@dataclass(frozen=True, slots=True)
class Declared:
    """The settings of a torch model.

    Attributes:
        inputs: In the order of the arguments; ``None`` where nothing is declared.
        outputs: Names of the outputs in their order; empty where nothing is declared.
        batch_axis: Whether rows of several requests may share a run.
    """

    inputs: tuple[TensorSpec, ...] | None
    outputs: tuple[str, ...]
    batch_axis: bool


def declared(options: LoadOptions) -> Declared:
    """The settings of a load.

    Raises:
        ModelLoadError: One is unknown, or not what it must be.
    """
    settings = options.settings
    unknown = [name for name in settings if name not in _KEYS]
    if unknown:
        raise ModelLoadError(f"unknown torch setting {unknown[0]}: there are {', '.join(_KEYS)}")
    batch_axis = settings.get("batch_axis", False)
    if not isinstance(batch_axis, bool):
        raise ModelLoadError(f"batch_axis is {batch_axis!r}, expected true or false")
    outputs = settings.get("outputs", [])
    if not isinstance(outputs, list) or not all(isinstance(one, str) and one for one in outputs):
        raise ModelLoadError(f"outputs is {outputs!r}, expected a list of names")
    if len(set(outputs)) < len(outputs):
        raise ModelLoadError(f"outputs names one twice: {outputs!r}")
    return Declared(_inputs(settings.get("inputs")), tuple(outputs), batch_axis)


def _inputs(table: object) -> tuple[TensorSpec, ...] | None:
    if table is None:
        return None
    wanted = 'a table such as { x = ["FP32", [-1, 4]] }'
    if not isinstance(table, Mapping) or not table:
        raise ModelLoadError(f"inputs is {table!r}, expected {wanted}")
    found = []
    for name, content in table.items():
        match content:
            case [str(datatype), [*shape]] if (
                datatype in NUMPY_OF
                and datatype != "BYTES"
                and all(type(one) is int and one >= VARIABLE for one in shape)
            ):
                found.append(TensorSpec(str(name), datatype, tuple(shape)))
            case _:
                raise ModelLoadError(f"inputs.{name} is {content!r}, expected {wanted}")
    return tuple(found)
