"""The PyTorch runtime: ``model.pt2`` as torch.export saves it, or TorchScript ``model.pt``.

Either file can hold code. The operator of a server has to allow each such model by name, and it
runs in a process of its own unless its owner says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.archive import check_archive
from penstock.runtimes.contract import (
    VARIABLE,
    ModelExecutionError,
    ModelLoadError,
    ResourcesExhausted,
    Signature,
    TensorSpec,
)
from penstock.runtimes.datatypes import DATATYPE_OF, NUMPY_OF
from penstock.runtimes.library import Library
from penstock.runtimes.settings import read_settings
from penstock.runtimes.synthetic import synthetic_inputs
from penstock.runtimes.tables import first_line

from .declared import declared_inputs
from .settings import TorchSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array, LoadOptions

EXPORTED: Final = "model.pt2"
SCRIPT: Final = "model.pt"
_MAX_ENTRIES: Final = 200_000
#: Larger than any model that fits into the memory of one machine.
_MAX_BYTES: Final = 1 << 42
#: Sizes of open dimensions that are tried when a model is loaded, beside its golden requests, until
#: so many runs have shown what its outputs are.
_TRIED: Final = (3, 5, 8, 16, 2)
_MOST_RUNS: Final = 2


class TorchRuntime:
    """Implements `penstock.runtimes.contract.Runtime`. torch is imported by the first `load`."""

    platform: Final = "torch"
    library: Final = Library("torch", "torch", ("torch",))
    isolated: Final = True
    runs_code: Final = True
    settings: Final = TorchSettings

    def find(self, directory: Path) -> Path | None:
        """``model.pt2``, or else ``model.pt``."""
        for name in (EXPORTED, SCRIPT):
            if (path := directory / name).is_file():
                return path
        return None

    def load(self, path: Path, options: LoadOptions) -> TorchModel:
        """Open the file, and run it once to see its outputs.

        Raises:
            ModelLoadError: The library is missing, the file is broken, its inputs are not known, or
                there are unknown settings.
        """
        wanted = read_settings(TorchSettings, options.settings)
        declared = declared_inputs(wanted)
        check_archive(path, "file of torch", most_entries=_MAX_ENTRIES, most_bytes=_MAX_BYTES)
        torch = self.library.load()
        torch.set_num_threads(options.threads)
        try:
            module, inputs = _open(torch, path, declared)
        except ModelLoadError:
            raise
        except Exception as error:  # torch raises anything
            raise ModelLoadError(f"cannot load {path}: {first_line(error)}") from error
        return _observed(torch, module, inputs, wanted, options)


class TorchModel:
    """Implements `penstock.runtimes.contract.Model` on a module of torch.

    Args:
        torch: The module ``torch``.
        module: Takes tensors, and gives tensors.
        signature: Of the model.
    """

    def __init__(self, torch: Any, module: Callable[..., Any], signature: Signature) -> None:
        self.signature = signature
        self.metadata: Mapping[str, str] = {}
        self._torch = torch
        self._module: Callable[..., Any] | None = module
        self._numbers = {one.name: number for number, one in enumerate(signature.outputs)}

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        """Run the module once, without gradients."""
        if self._module is None:
            raise ModelExecutionError("the model is unloaded")
        if not outputs:
            return []
        answers = run_module(self._torch, self._module, inputs)
        if len(answers) != len(self._numbers):
            raise ModelExecutionError(
                f"the model gave {len(answers)} outputs, expected {len(self._numbers)}"
            )
        return [answers[self._numbers[name]] for name in outputs]

    def unload(self) -> None:
        """Drop the module; a run that goes on in another thread ends first."""
        self._module = None


def run_module(torch: Any, module: Callable[..., Any], inputs: Sequence[Array | None]) -> list[Any]:
    """The outputs of one run, as arrays of their own.

    Raises:
        ModelExecutionError: The module raises, or gives something else than tensors.
    """
    try:
        with torch.inference_mode():
            given = [torch.from_numpy(np.array(one)) for one in inputs if one is not None]
            found = _flat(module(*given))
            return [np.array(one.detach().cpu().numpy(), order="C") for one in found]
    except MemoryError as error:
        raise ResourcesExhausted(f"memory gave out: {error}") from error
    except Exception as error:
        text = first_line(error)
        kind = ResourcesExhausted if "can't allocate memory" in text else ModelExecutionError
        raise kind(text) from error


def _flat(found: Any) -> list[Any]:
    """Tensors in the order of a tuple, list or dictionary of outputs."""
    if isinstance(found, dict):
        return list(found.values())
    return list(found) if isinstance(found, tuple | list) else [found]


def _open(
    torch: Any, path: Path, declared: tuple[TensorSpec, ...] | None
) -> tuple[Callable[..., Any], tuple[TensorSpec, ...]]:
    """The module of a file, and its inputs."""
    if path.name == SCRIPT:
        if declared is None:
            raise ModelLoadError(
                "a TorchScript file does not say what it takes: declare it in [runtime] of "
                'model.toml, such as inputs = { x = ["FP32", [-1, 4]] }'
            )
        return torch.jit.load(str(path), map_location="cpu").eval(), declared
    program = torch.export.load(str(path))
    names = program.graph_signature.user_inputs
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    found = tuple(_spec(nodes[str(name)]) for name in names)
    return program.module(), declared or found


def _spec(node: Any) -> TensorSpec:
    """The input of a placeholder: sizes that are no plain numbers are open."""
    value = node.meta["val"]
    shape = tuple(one if type(one) is int else VARIABLE for one in value.shape)
    return TensorSpec(node.name, _datatype(str(value.dtype), node.name), shape)


def _datatype(dtype: str, name: str) -> str:
    try:
        return DATATYPE_OF[np.dtype(dtype.removeprefix("torch."))]
    except (TypeError, KeyError):
        raise ModelLoadError(f"tensor {name!r} is of type {dtype}, which is not served") from None


def _observed(
    torch: Any,
    module: Callable[..., Any],
    inputs: tuple[TensorSpec, ...],
    wanted: TorchSettings,
    options: LoadOptions,
) -> TorchModel:
    """The model, with the outputs that runs show."""
    bare = Signature(inputs, (TensorSpec("output", "FP32", ()),), batch_axis=False)
    tried = [synthetic_inputs(bare, rows, variable=rows) for rows in _TRIED]
    tried += [list(one) for one in options.examples(bare)[:_MOST_RUNS]]
    runs: list[tuple[Sequence[Array | None], list[Array]]] = []
    error: ModelExecutionError | None = None
    for given in tried:
        try:
            runs.append((given, run_module(torch, module, given)))
        except ModelExecutionError as failure:
            error = failure
        if len(runs) == _MOST_RUNS:
            break
    if not runs:
        raise ModelLoadError(
            f"the model runs neither made-up inputs nor golden requests: {error}; golden requests "
            "would help"
        )
    outputs = _outputs([answers for _, answers in runs], wanted)
    every = (*inputs, *outputs)
    rows_axis = all(one.shape[:1] == (VARIABLE,) for one in every) and all(
        len({len(one) for one in (*given, *answers) if one is not None}) == 1
        for given, answers in runs
    )
    if wanted.batch_axis and not rows_axis:
        raise ModelLoadError(
            "batch_axis is true, and axis 0 is not rows: "
            + ", ".join(f"{one.name} {list(one.shape)}" for one in every)
        )
    said = "declared" if wanted.batch_axis else "not declared"
    reason = f"{said} by batch_axis in [runtime]"
    signature = Signature(inputs, outputs, wanted.batch_axis, reason, rows_axis=rows_axis)
    return TorchModel(torch, module, signature)


def _outputs(runs: Sequence[Sequence[Array]], wanted: TorchSettings) -> tuple[TensorSpec, ...]:
    """The outputs that were seen: what differs between runs of different sizes is open."""
    first, last = runs[0], runs[-1]
    names = wanted.outputs or (
        ("output",) if len(first) == 1 else tuple(f"output_{n}" for n in range(len(first)))
    )
    if len(names) != len(first):
        raise ModelLoadError(f"{len(names)} outputs are declared, the model gives {len(first)}")
    if len(first) != len(last) or any(a.ndim != b.ndim for a, b in zip(first, last, strict=True)):
        raise ModelLoadError("the number of outputs, or of their dimensions, depends on the inputs")
    specs = []
    for name, one, other in zip(names, first, last, strict=True):
        if one.dtype not in NUMPY_OF.values():
            raise ModelLoadError(f"output {name!r} is of type {one.dtype}, which is not served")
        sizes = zip(one.shape, other.shape, strict=True)
        shape = tuple(a if a == b else VARIABLE for a, b in sizes)
        specs.append(TensorSpec(name, DATATYPE_OF[one.dtype], shape))
    return tuple(specs)
