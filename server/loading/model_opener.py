"""Opens the file of a version: in this process, or in processes of its own."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.runtimes.contract import LoadOptions
from penstock.runtimes.discovery import runs_code, wants_process
from penstock.runtimes.onnx import OnnxRuntime
from penstock.runtimes.settings import read_settings
from penstock.server.config.process_options import IDLE, PROCESS
from penstock.server.config.trust_options import names_of
from penstock.server.files.refusal import ModelRefused
from penstock.server.isolation.environment import model_environment
from penstock.server.isolation.isolated_model import IsolatedModel
from penstock.server.isolation.limits import ProcessLimits
from penstock.server.isolation.messages import Order
from penstock.server.isolation.model_process import ModelOrder
from penstock.server.pipelines.pipeline_runtime import PLATFORM
from penstock.server.processes.memory_limits import available_bytes

from .golden_examples import example_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.runtimes.contract import Model, Runtime
    from penstock.server.config.config import ServerConfig
    from penstock.server.config.model_config import ModelConfig
    from penstock.server.config.process_options import ProcessOptions
    from penstock.server.isolation.limits import Death

    from .load_order import LoadOrder

    #: Model, version, and how one of its processes ended; ``None`` for one that runs again.
    OnChange = Callable[[str, str, Death | None], object]

#: Of all memory that is free, what a process may take, and what it may take in any case.
_MEMORY_SHARE: Final = 0.9
_LEAST_BYTES: Final = 512 << 20


class ModelOpener:
    """Opens files for the loads of one process.

    Args:
        config: Configuration of the server.
        on_change: Told of each end of a model's process that nobody asked for, and of each that
            runs again; on any thread.
    """

    def __init__(
        self, config: ServerConfig, on_change: OnChange = lambda _name, _version, _death: None
    ) -> None:
        self._config = config
        self._on_change = on_change
        # Threads that a runtime starts inherit the priority of the loading thread, for good.
        self._opener = ThreadPoolExecutor(1, "penstock-open")
        self._opener.submit(int).result()

    def close(self) -> None:
        """Stop its thread."""
        self._opener.shutdown(wait=False, cancel_futures=True)

    def open(self, runtime: Runtime, path: Path, directory: Path, order: LoadOrder) -> Model:
        """The model of a file.

        Args:
            runtime: Runtime of the file.
            path: The file.
            directory: Directory of the version.
            order: The load that it is for.

        Raises:
            ModelLoadError: It cannot be loaded, or must not be.
        """
        check_permission(runtime, order.name, self._config)
        config = order.config
        options = load_options(config, directory, self._config)
        if is_isolated(runtime, config):
            return self._isolated(runtime, path, options, order)
        if is_single_threaded(runtime, config):
            return runtime.load(path, options)
        return self._opener.submit(runtime.load, path, options).result()

    def _isolated(
        self, runtime: Runtime, path: Path, options: LoadOptions, order: LoadOrder
    ) -> IsolatedModel:
        wanted = order.config.process
        python = _interpreter(wanted, order, self._config)
        settings, declared = options.settings, getattr(runtime, "settings", None)
        if python and declared:  # that interpreter may lack the decoder
            settings = read_settings(declared, settings)
        kind = type(runtime)
        message = Order(
            (kind.__module__, kind.__qualname__),
            str(path),
            LoadOptions(
                options.threads,
                settings,
                options.max_rows,
                trusted_types=options.trusted_types,
                operator_libraries=options.operator_libraries,
            ),
            # Plug-ins may be where only this process looks.
            () if python else tuple(one for one in sys.path if isinstance(one, str)),
            wanted.priority == IDLE,
        )
        model_order = ModelOrder(
            f"model {order.name} version {order.version}",
            message,
            options.examples,
            ProcessLimits(self._memory_bytes(wanted), wanted.cpu_seconds, wanted.open_files),
            order.limit_seconds,
            model_environment(options.threads),
            python,
        )
        on_change = partial(self._on_change, order.name, order.version)
        # A process has the priority of the thread that started its parent.
        return IsolatedModel(
            model_order, wanted.count, on_change, lambda call: self._opener.submit(call).result()
        )

    def _memory_bytes(self, wanted: ProcessOptions) -> int:
        config = self._config
        shared = config.max_memory_bytes // config.workers or int(_MEMORY_SHARE * available_bytes())
        return wanted.memory_bytes or (max(shared, _LEAST_BYTES) if shared else 0)


def load_options(config: ModelConfig, directory: Path, server: ServerConfig) -> LoadOptions:
    """The options with which a version is loaded."""
    return LoadOptions(
        config.threads,
        config.settings,
        config.batching.max_batch_size,
        partial(example_inputs, directory),
        names_of(server.trusted_types),
        server.libraries(),
    )


def is_isolated(runtime: Runtime, config: ModelConfig) -> bool:
    """True if a model runs in processes of its own; steps of pipelines decide for themselves."""
    if runtime.platform == PLATFORM:
        return False
    if config.isolation is None:
        return wants_process(runtime)
    return config.isolation == PROCESS


def is_single_threaded(runtime: Runtime, config: ModelConfig) -> bool:
    """True if runs of the model are known to use the calling thread alone."""
    plain = runtime.platform == OnnxRuntime.platform and "providers" not in config.settings
    return plain and config.threads == 1 and not is_isolated(runtime, config)


def check_permission(runtime: Runtime, model: str, config: ServerConfig) -> None:
    """Refuse a model that wants to run code which the operator has not allowed.

    Raises:
        ModelRefused: Its runtime runs code of the model, and nobody allows that.
    """
    if runs_code(runtime) and not config.may_run_code(model):
        raise ModelRefused(
            f"its files hold code, which {runtime.platform!r} would run; the operator of the "
            f"server has to allow that by the name of the model: allow_code = {model!r} in "
            "penstock.toml, --allow-code or PENSTOCK_ALLOW_CODE"
        )


def _interpreter(wanted: ProcessOptions, order: LoadOrder, config: ServerConfig) -> Path | None:
    """The interpreter of a version's own virtual environment.

    Raises:
        ModelRefused: It does not exist, or the model must not choose one.
    """
    if not wanted.interpreter:
        return None
    if not config.may_run_code(order.name):
        raise ModelRefused(
            "model.toml names an interpreter (process.interpreter), which runs what it likes; the "
            f"operator has to allow that by the name of the model: allow_code = {order.name!r} in "
            "penstock.toml, --allow-code or PENSTOCK_ALLOW_CODE"
        )
    place = Path(wanted.interpreter.replace("{version}", order.version))
    python = place / "bin" / "python" if place.is_dir() else place
    if not place.is_absolute() or not python.is_file():
        raise ModelRefused(
            f"process.interpreter is {wanted.interpreter!r}, expected the absolute path of a "
            f"virtual environment or of an interpreter; there is no file {python}"
        )
    return python
