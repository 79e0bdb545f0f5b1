"""The ONNX runtime: model files run by onnxruntime."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from penstock.runtimes.row_proof.read_graph import try_to_read

from .contract import ModelLoadError, Signature
from .library import Library
from .onnx_batching import decide, rows_possible
from .onnx_containers import with_containers
from .onnx_errors import explain_load
from .onnx_labels import with_labels
from .onnx_model import OnnxModel
from .onnx_narrow import with_narrow_types
from .onnx_observation import observe
from .onnx_settings import OPTIMIZATION_LEVELS, OnnxSettings
from .onnx_signature import read_signature, with_open_rows, with_ranks
from .onnx_symbols import shared_symbols
from .onnx_training import training_remarks
from .settings import read_settings
from .telemetry import import_onnxruntime

if TYPE_CHECKING:
    from pathlib import Path

    from .contract import LoadOptions

FILE_NAME: Final = "model.onnx"

#: Fatal only. Everything less reaches the caller as an exception, once.
_LOG_SEVERITY: Final = 4


class OnnxRuntime:
    """Implements `penstock.runtimes.contract.Runtime`.

    onnxruntime is imported by the first `load`, so a process that only looks for models stays
    small.
    """

    platform: str = "onnx_onnxv1"
    library: Final = Library(
        "onnxruntime", "", ("onnxruntime", "onnxruntime-openvino", "onnxruntime-gpu")
    )
    settings: Final = OnnxSettings

    def find(self, directory: Path) -> Path | None:
        """``model.onnx``; as in Triton it may be a directory, with its external data beside it."""
        path = directory / FILE_NAME
        if path.is_dir():
            path /= FILE_NAME
        return path if path.is_file() else None

    def load(self, path: Path, options: LoadOptions) -> OnnxModel:
        """Open a session and find out what the model takes, gives, and whether rows may share runs.

        External data is found relative to ``path``. What the model gives is observed, and what its
        file declares is a hint (`onnx_observation`): so it is found out whether axis 0 is rows.
        Rows of several requests may share runs if the owner says so, or the graph proves or a probe
        shows that each is answered as alone (`onnx_batching`).

        Raises:
            ModelLoadError: Not an ONNX model, or one that cannot be served; or wrong settings.
        """
        settings = read_settings(OnnxSettings, options.settings)
        if options.threads < 1:
            raise ModelLoadError(f"threads must be at least 1: {options.threads}")
        session = _open_session(path, options, settings)
        try:
            return _observed(with_containers(with_narrow_types(session)), path, settings, options)
        except ModelLoadError as error:
            raise ModelLoadError(f"cannot serve {path}: {error}") from error


def _observed(session: Any, path: Path, settings: OnnxSettings, options: LoadOptions) -> OnnxModel:
    """The model of a session, after a look at what it does."""
    graph = try_to_read(path)
    declared = with_ranks(session, read_signature(session), graph)
    declared = replace(declared, rows_axis=not rows_possible(declared))
    observation = observe(session, declared, options.examples(declared))
    signature = with_labels(observation.complete(declared), graph)
    metadata = {**session.get_modelmeta().custom_metadata_map, **observation.metadata()}
    classes = {name: len(labels) for name, labels in observation.classes.items()}

    symbols = shared_symbols(session, [spec.name for spec in signature.inputs])

    def model(signature: Signature) -> OnnxModel:
        return OnnxModel(session, signature, metadata, classes, symbols)

    candidate = model(replace(signature, batch_axis=True))
    decision = decide(candidate, graph, observation, settings.batch_axis, options.max_rows)
    rows_axis = decision.batch_axis or observation.shows_rows(declared)
    return model(
        Signature(
            signature.inputs,
            with_open_rows(signature.outputs) if rows_axis else signature.outputs,
            decision.batch_axis,
            decision.reason,
            (*signature.remarks, *training_remarks(graph)),
            rows_axis,
        )
    )


def _open_session(path: Path, wanted: LoadOptions, settings: OnnxSettings) -> Any:
    """An ``onnxruntime.InferenceSession`` that may be shared by threads and does not spin."""
    ort = import_onnxruntime()

    available = ort.get_available_providers()
    for provider in settings.providers:
        name = provider if isinstance(provider, str) else provider[0]
        if name not in available:
            raise ModelLoadError(
                f"unknown execution provider {name!r}; available: {', '.join(available)}"
            )
    options = ort.SessionOptions()
    options.intra_op_num_threads = wanted.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = getattr(
        ort.GraphOptimizationLevel, OPTIMIZATION_LEVELS[settings.graph_optimization_level]
    )
    options.enable_mem_pattern = settings.enable_mem_pattern
    options.enable_cpu_mem_arena = settings.enable_cpu_mem_arena
    options.log_severity_level = _LOG_SEVERITY
    # A spinning pool burns the cores that other models' threads need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    for library in wanted.operator_libraries:
        try:
            options.register_custom_ops_library(library)
        except Exception as error:
            raise ModelLoadError(
                f"cannot load the operator library {library}: {explain_load(error)}"
            ) from error
    try:
        return ort.InferenceSession(
            path,
            options,
            providers=list(settings.providers),
            enable_fallback=0,  # it prints, and hides that a provider does not work
            read_config_from_model=0,  # a model file does not choose our options
        )
    except Exception as error:  # its exceptions share no base class
        raise ModelLoadError(f"cannot load {path}: {explain_load(error)}") from error
