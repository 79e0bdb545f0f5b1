"""The ONNX runtime: model files run by onnxruntime."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from .contract import ModelExecutionError, ModelLoadError
from .onnx_errors import explain_load
from .onnx_model import OnnxModel
from .onnx_observation import observe
from .onnx_settings import OPTIMIZATION_LEVELS, OnnxSettings
from .onnx_signature import BatchClaim, batch_claim, read_signature
from .row_independence import probe_rows
from .telemetry import import_onnxruntime

if TYPE_CHECKING:
    from pathlib import Path

    from .contract import LoadOptions

FILE_NAME: Final = "model.onnx"

#: Above this, rows together answer differently from rows singly. Rounding stays under 1e-4;
#: dynamic quantisation, whose scale is the batch's, takes up to a few percent and is batched
#: everywhere; real coupling of rows shows as tens of percent.
ROW_TOLERANCE: Final = 0.05

#: Fatal only. Everything less reaches the caller as an exception, once.
_LOG_SEVERITY: Final = 4

_logger = logging.getLogger(__name__)


class OnnxRuntime:
    """Implements `penstock.runtimes.contract.Runtime`.

    onnxruntime is imported by the first `load`, so a process that only looks for models stays
    small.
    """

    platform: Final = "onnx_onnxv1"

    def find(self, directory: Path) -> Path | None:
        """``model.onnx``; as in Triton it may be a directory, with its external data beside it."""
        path = directory / FILE_NAME
        if path.is_dir():
            path /= FILE_NAME
        return path if path.is_file() else None

    def load(self, path: Path, options: LoadOptions) -> OnnxModel:
        """Open a session and find out what the model takes, gives, and whether rows may share runs.

        External data is found relative to ``path``. A batch axis needs axis 0 of every required
        input and every output to be open, and two synthetic rows to get the same answers together
        as singly (`probe_rows`). A model that accepts no synthetic input is believed if all those
        axes bear one name. The setting ``batch_axis`` overrides the probe.

        Raises:
            ModelLoadError: Not an ONNX model, or one that cannot be served; or wrong settings.
        """
        settings = OnnxSettings.parse(options.settings)
        if options.threads < 1:
            raise ModelLoadError(f"threads must be at least 1: {options.threads}")
        session = _open_session(path, options.threads, settings)
        try:
            declared = read_signature(session)
            observation = observe(session, declared)
            signature = observation.complete(declared)
            claim = batch_claim(session, signature)
            metadata = {**session.get_modelmeta().custom_metadata_map, **observation.metadata()}
            classes = {name: len(labels) for name, labels in observation.classes.items()}

            def model(*, batch_axis: bool) -> OnnxModel:
                return OnnxModel(
                    session, replace(signature, batch_axis=batch_axis), metadata, classes
                )

            candidate = model(batch_axis=True)
            follows = _rows_are_independent(candidate, claim, path, wanted=settings.batch_axis)
            return candidate if follows else model(batch_axis=False)
        except ModelLoadError as error:
            raise ModelLoadError(f"cannot serve {path}: {error}") from error


def _open_session(path: Path, threads: int, settings: OnnxSettings) -> Any:
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
    options.intra_op_num_threads = threads
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


def _rows_are_independent(
    candidate: OnnxModel, claim: BatchClaim, path: Path, *, wanted: bool | None
) -> bool:
    """Whether the model has a batch axis; ``wanted`` is the user's word, if given."""
    if claim is BatchClaim.IMPOSSIBLE:
        if wanted:
            raise ModelLoadError(
                "batch_axis = true needs axis 0 of every required input and every output to be "
                f"open; this model has {_shapes(candidate)}"
            )
        return False
    if wanted is not None:
        return wanted
    try:
        deviation = probe_rows(candidate)
    except ModelExecutionError as error:
        believed = claim is BatchClaim.NAMED
        _logger.warning(
            "%s: could not check that rows are independent (%s); batching is %s, set "
            "batch_axis to choose",
            path,
            error,
            "on" if believed else "off",
        )
        return believed
    if deviation > ROW_TOLERANCE:
        _logger.warning(
            "%s: batching is off, two rows get other answers together than singly; set "
            "batch_axis = true if that is meant",
            path,
        )
    return deviation <= ROW_TOLERANCE


def _shapes(model: OnnxModel) -> str:
    specs = (*model.signature.inputs, *model.signature.outputs)
    return ", ".join(f"{spec.name} {list(spec.shape)}" for spec in specs)
