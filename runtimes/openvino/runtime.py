"""The OpenVINO runtime: models in OpenVINO's own format, run on the processor by OpenVINO."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.runtimes.contract import (
    VARIABLE,
    ModelExecutionError,
    ModelLoadError,
    Signature,
    TensorSpec,
)
from penstock.runtimes.datatypes import DATATYPE_OF
from penstock.runtimes.graph_rows import with_rows
from penstock.runtimes.library import Library
from penstock.runtimes.model_files import ModelFile, find_model_file
from penstock.runtimes.row_settings import RowSettings
from penstock.runtimes.settings import read_settings
from penstock.runtimes.tables import first_line
from penstock.runtimes.telemetry import switch_off

from .file import check_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array, LoadOptions

_WEIGHTS: Final = ".bin"
_DEVICE: Final = "CPU"


class OpenvinoRuntime:
    """Implements `penstock.runtimes.contract.Runtime`. OpenVINO is imported by the first `load`."""

    platform: Final = "openvino"
    library: Final = Library("openvino", "openvino", ("openvino",))
    settings: Final = RowSettings
    files: Final = (
        ModelFile(
            "model.xml",
            (b'<?xmlversion="1.0"?><net', b'<?xmlversion="1.0"encoding="UTF-8"?><net', b"<net"),
            common=True,
            beside=(_WEIGHTS,),
        ),
    )

    def find(self, directory: Path) -> Path | None:
        """``model.xml``, if it begins as a model of OpenVINO; its weights lie beside it."""
        return find_model_file(directory, self.files)

    def load(self, path: Path, options: LoadOptions) -> OpenvinoModel:
        """Check the files, compile the model, and find out what its rows are.

        Raises:
            ModelLoadError: The library is missing, the files are broken, or there are unknown
                settings.
        """
        settings = read_settings(RowSettings, options.settings)
        weights = path.with_suffix(_WEIGHTS)
        check_file(path, weights)
        switch_off()
        openvino = self.library.load()
        try:
            core = openvino.Core()
            model = core.read_model(path, weights if weights.is_file() else "")
            compiled = core.compile_model(model, _DEVICE, _properties(options.threads))
        except Exception as error:  # of C++, whatever it is
            raise ModelLoadError(f"cannot load {path}: {first_line(error)}") from error
        inputs, outputs = (tuple(map(_spec, ports)) for ports in (model.inputs, model.outputs))
        return with_rows(
            lambda signature: OpenvinoModel(openvino, compiled, signature),
            Signature(inputs, outputs, batch_axis=False),
            settings,
            options,
        )


def _properties(threads: int) -> dict[str, Any]:
    """Several runs at once, each with so many threads, in the precision of the file."""
    runs = len(os.sched_getaffinity(0))
    return {
        "NUM_STREAMS": runs,
        "INFERENCE_NUM_THREADS": threads * runs,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,  # each model would take the first cores
    }


def _spec(port: Any) -> TensorSpec:
    names = sorted(port.names)
    name = names[0] if names else str(port.node.friendly_name)
    shape = port.partial_shape
    if shape.rank.is_dynamic:
        raise ModelLoadError(f"tensor {name!r} has no fixed number of dimensions")
    sizes = tuple(one.get_length() if one.is_static else VARIABLE for one in shape)
    try:
        return TensorSpec(name, DATATYPE_OF[np.dtype(port.element_type.to_dtype())], sizes)
    except (TypeError, KeyError, RuntimeError):
        kind = port.element_type
        raise ModelLoadError(f"tensor {name!r} is of type {kind}, which is not served") from None


class OpenvinoModel:
    """Implements `penstock.runtimes.contract.Model` on a compiled model of OpenVINO.

    Args:
        openvino: The module ``openvino``.
        compiled: The compiled model.
        signature: Its inputs and outputs.
    """

    def __init__(self, openvino: Any, compiled: Any, signature: Signature) -> None:
        self.signature = signature
        self.metadata: Mapping[str, str] = {}
        self._tensor = openvino.Tensor
        self._compiled: Any = compiled
        self._idle: list[Any] = []  # requests, each for one run at a time
        self._lock = threading.Lock()
        self._numbers = {one.name: number for number, one in enumerate(signature.outputs)}

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        """See `penstock.runtimes.contract.Model.execute`."""
        if not outputs:
            return []
        request = self._acquire()
        try:
            for number, array in enumerate(inputs):
                # An array that may only be read is copied.
                shared = array is not None and array.flags.writeable
                request.set_input_tensor(number, self._tensor(array, shared_memory=shared))
            request.infer()
            numbers = (self._numbers[name] for name in outputs)
            found = [np.array(request.get_output_tensor(one).data, order="C") for one in numbers]
        except Exception as error:  # of C++, whatever it is
            raise ModelExecutionError(first_line(error)) from error
        with self._lock:
            self._idle.append(request)
        return found

    def _acquire(self) -> Any:
        with self._lock:
            compiled = self._compiled
            if compiled is not None and self._idle:
                return self._idle.pop()
        if compiled is None:
            raise ModelExecutionError("the model is unloaded")
        return compiled.create_infer_request()

    def unload(self) -> None:
        """Drop the model; a run that goes on in another thread ends first."""
        with self._lock:
            self._compiled = None
            self._idle.clear()
