"""The LiteRT runtime: ``model.tflite``, run on the processor by LiteRT (TensorFlow Lite)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .contract import VARIABLE, ModelExecutionError, ModelLoadError, Signature, TensorSpec
from .datatypes import DATATYPE_OF
from .graph_rows import with_rows
from .library import Library
from .row_settings import RowSettings
from .settings import read_settings
from .tables import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from .contract import Array, LoadOptions

FILE_NAME: Final = "model.tflite"
#: The library maps the whole file; a FlatBuffer has offsets of 32 bits.
MAX_BYTES: Final = 2 << 30
#: Name of a FlatBuffer's kind, behind the offset of its root.
_MAGIC: Final = b"TFL3"
_HEAD_BYTES: Final = 8


class LitertRuntime:
    """Implements `penstock.runtimes.contract.Runtime`. LiteRT is imported by the first `load`."""

    platform: Final = "litert"
    library: Final = Library("ai_edge_litert.interpreter", "litert", ("ai-edge-litert",))
    settings: Final = RowSettings

    def find(self, directory: Path) -> Path | None:
        """``model.tflite``."""
        path = directory / FILE_NAME
        return path if path.is_file() else None

    def load(self, path: Path, options: LoadOptions) -> LitertModel:
        """Check the file, open it, and find out what its rows are.

        Raises:
            ModelLoadError: The library is missing, the file is broken, or there are unknown
                settings.
        """
        settings = read_settings(RowSettings, options.settings)
        content = _content(path)
        litert = self.library.load()

        def interpreter() -> Any:
            made = litert.Interpreter(model_content=content, num_threads=options.threads)
            made.allocate_tensors()
            return made

        try:
            first = interpreter()
            details = first.get_input_details(), first.get_output_details()
        except Exception as error:  # RuntimeError and ValueError, of C++
            raise ModelLoadError(f"cannot load {path}: {first_line(error)}") from error
        inputs, outputs = (tuple(map(_spec, some)) for some in details)
        if len({one.name for one in (*inputs, *outputs)}) < len(inputs) + len(outputs):
            raise ModelLoadError(f"{path} has two tensors of one name")
        places = tuple(tuple(int(one["index"]) for one in some) for some in details)
        return with_rows(
            lambda signature: LitertModel(interpreter, signature, *places),
            Signature(inputs, outputs, batch_axis=False),
            settings,
            options,
        )


def _content(path: Path) -> bytes:
    """The file.

    Raises:
        ModelLoadError: It is none of LiteRT.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelLoadError(f"{path} has {size} bytes, at most {MAX_BYTES} are read")
        content = path.read_bytes()
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror or error}") from error
    if content[4:_HEAD_BYTES] != _MAGIC:
        raise ModelLoadError(f"{path} is no LiteRT model: {_MAGIC.decode()} is not at its byte 4")
    return content


def _spec(detail: Any) -> TensorSpec:
    name, dtype = str(detail["name"]), np.dtype(detail["dtype"])
    if dtype not in DATATYPE_OF or dtype == np.object_:
        raise ModelLoadError(f"tensor {name!r} is of type {dtype}, which is not served")
    told = detail["shape_signature"]
    shape = told if len(told) == len(detail["shape"]) else detail["shape"]
    return TensorSpec(
        name, DATATYPE_OF[dtype], tuple(int(one) if one >= 0 else VARIABLE for one in shape)
    )


class LitertModel:
    """Implements `penstock.runtimes.contract.Model` on interpreters, one for each run at a time.

    Args:
        make: Makes an interpreter.
        signature: Inputs and outputs of the model.
        inputs: Numbers of its input tensors.
        outputs: Numbers of its output tensors.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        signature: Signature,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
    ) -> None:
        self.signature = signature
        self.metadata: Mapping[str, str] = {}
        self._make: Callable[[], Any] | None = make
        self._inputs = inputs
        names = (one.name for one in signature.outputs)
        self._outputs = dict(zip(names, outputs, strict=True))
        self._idle: list[tuple[Any, tuple[tuple[int, ...], ...]]] = []
        self._lock = threading.Lock()

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        """See `penstock.runtimes.contract.Model.execute`."""
        if not outputs:
            return []
        given = [one for one in inputs if one is not None]
        self._check(given)
        if not all(one.size for one in given):
            return self._none(given, outputs)
        shapes = tuple(one.shape for one in given)
        interpreter, before = self._acquire()
        try:
            if shapes != before:
                for place, shape in zip(self._inputs, shapes, strict=True):
                    interpreter.resize_tensor_input(place, shape, strict=True)
                interpreter.allocate_tensors()
            for place, array in zip(self._inputs, given, strict=True):
                interpreter.set_tensor(place, array)
            interpreter.invoke()
            found = [interpreter.get_tensor(self._outputs[name]) for name in outputs]  # copies
        except Exception as error:  # RuntimeError and ValueError, of C++
            raise ModelExecutionError(first_line(error)) from error
        with self._lock:
            self._idle.append((interpreter, shapes))
        return [np.ascontiguousarray(one) for one in found]

    def _check(self, given: Sequence[Array]) -> None:
        """Refuse shapes before the library is asked: it may end the process."""
        if len(given) != len(self._inputs):
            raise ModelExecutionError(f"{len(given)} inputs were given, not {len(self._inputs)}")
        for spec, array in zip(self.signature.inputs, given, strict=True):
            fits = array.ndim == len(spec.shape) and all(
                wanted in {VARIABLE, size}
                for wanted, size in zip(spec.shape, array.shape, strict=True)
            )
            if not fits:
                raise ModelExecutionError(
                    f"input '{spec.name}' has the shape {list(array.shape)}, expected "
                    f"{list(spec.shape)}"
                )

    def _none(self, given: Sequence[Array], outputs: Sequence[str]) -> list[Array]:
        """The answers to no rows, which LiteRT does not compute."""
        ones = [np.zeros([size or 1 for size in one.shape], one.dtype) for one in given]
        rows = self.signature.rows_axis and not any(len(one) for one in given)
        return [one[:0] if rows else one for one in self.execute(ones, outputs)]

    def _acquire(self) -> tuple[Any, tuple[tuple[int, ...], ...]]:
        with self._lock:
            make = self._make
            if make is not None and self._idle:
                return self._idle.pop()
        if make is None:
            raise ModelExecutionError("the model is unloaded")
        return make(), ()

    def unload(self) -> None:
        """Drop the interpreters; a run that goes on in another thread ends first."""
        with self._lock:
            self._make = None
            self._idle.clear()
