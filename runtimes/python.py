"""The Python runtime: a file ``model.py`` with a class ``Model`` that loads and predicts.

    class Model:
        inputs = {"x": ("FP32", [-1, 4])}
        outputs = {"y": ("FP32", [-1, 1])}
        batch_axis = True

        def load(self, directory): ...
        def predict(self, inputs): return {"y": inputs["x"].sum(axis=1, keepdims=True)}

The file is code, so the operator of a server has to allow each such model by name, and it runs in a
process of its own unless its owner says otherwise.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from .contract import (
    ModelExecutionError,
    ModelLoadError,
    ResourcesExhausted,
    Signature,
    TensorSpec,
)
from .datatypes import NUMPY_OF

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import CodeType

    from .contract import Array, LoadOptions

FILE_NAME: Final = "model.py"
_CLASS: Final = "Model"
#: Each load has a module of its own.
_numbers = count(1)


class PythonRuntime:
    """Implements `penstock.runtimes.contract.Runtime`."""

    platform: Final = "python"
    isolated: Final = True
    runs_code: Final = True

    def find(self, directory: Path) -> Path | None:
        """``model.py``."""
        path = directory / FILE_NAME
        return path if path.is_file() else None

    def load(self, path: Path, options: LoadOptions) -> PythonModel:
        """Run the file, make its ``Model``, and have it load.

        ``[runtime]`` of ``model.toml`` is given to ``load`` as keyword arguments.

        Raises:
            ModelLoadError: The file or its class raises, or the class is not as it must be.
        """
        kind: Any = getattr(_module(path), _CLASS, None)
        if not inspect.isclass(kind):
            raise ModelLoadError(f"{path} has no class {_CLASS}")
        for method in ("load", "predict"):
            if not callable(getattr(kind, method, None)):
                raise ModelLoadError(f"{_CLASS} in {path} has no method {method!r}")
        signature = _signature(kind, path)
        metadata = getattr(kind, "metadata", {})
        if not _is_text(metadata):
            raise ModelLoadError(f"{_CLASS}.metadata in {path} does not map texts to texts")
        try:
            model: Any = kind()
            _check_settings(model.load, path, options.settings)
            model.load(path.parent, **options.settings)
        except ModelLoadError:
            raise
        except Exception as error:  # code of the model may raise anything
            raise ModelLoadError(f"{path} cannot be loaded: {_words(error)}") from error
        return PythonModel(model, signature, metadata)


class PythonModel:
    """Implements `penstock.runtimes.contract.Model` on an object of the model's own class.

    Args:
        model: The object.
        signature: As its class declares it.
        metadata: As its class declares it.
    """

    def __init__(self, model: Any, signature: Signature, metadata: Mapping[str, str]) -> None:
        self.signature = signature
        self.metadata = metadata
        self._model = model

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        """Call ``predict`` with the inputs by name; those left out are missing."""
        pairs = zip(self.signature.inputs, inputs, strict=True)
        given = {spec.name: one for spec, one in pairs if one is not None}
        try:
            answers = self._model.predict(given)
        except ModelExecutionError:
            raise
        except MemoryError as error:
            raise ResourcesExhausted(_words(error)) from error
        except Exception as error:
            raise ModelExecutionError(_words(error)) from error
        if not isinstance(answers, Mapping):
            raise ModelExecutionError(
                f"predict gave an object of type {type(answers).__name__}, expected a dictionary "
                "of arrays by the names of the outputs"
            )
        missing = [name for name in outputs if name not in answers]
        if missing:
            raise ModelExecutionError(f"predict gave no output {missing[0]!r}")
        return [answers[name] for name in outputs]

    def unload(self) -> None:
        """Call ``unload`` of the model, if it has one, and let the model go."""
        model, self._model = self._model, _Unloaded()
        release = getattr(model, "unload", None)
        if callable(release):
            release()


class _Unloaded:
    def predict(self, _inputs: object) -> None:
        raise ModelExecutionError("the model is unloaded")


class _FromSource(SourceFileLoader):
    """Compiles the file that is there.

    Bytecode that lies beside a file is taken for that of another file with the same size and the
    same second of change, and is written into the directory of the version.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _module(path: Path) -> Any:
    """The module of a file, with the files beside it on the search path."""
    name = f"penstock_model_{next(_numbers)}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    beside = str(path.parent)
    if beside not in sys.path:
        sys.path.insert(0, beside)
    sys.modules[name] = module  # for what looks up a class by its module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ModelLoadError(f"{path} cannot be run: {_words(error)}") from error
    return module


def _signature(kind: Any, path: Path) -> Signature:
    batch_axis = getattr(kind, "batch_axis", False)
    rows_axis = getattr(kind, "rows_axis", batch_axis)
    if not isinstance(batch_axis, bool) or not isinstance(rows_axis, bool):
        raise ModelLoadError(f"batch_axis or rows_axis of {_CLASS} in {path} is not True or False")
    inputs, outputs = (_specs(kind, name, path) for name in ("inputs", "outputs"))
    if not outputs:
        raise ModelLoadError(f"{_CLASS}.outputs in {path} is empty")
    return Signature(inputs, outputs, batch_axis, "declared by the model", rows_axis=rows_axis)


def _specs(kind: Any, name: str, path: Path) -> tuple[TensorSpec, ...]:
    declared = getattr(kind, name, None)
    if not isinstance(declared, Mapping):
        raise ModelLoadError(
            f'{_CLASS}.{name} in {path} is no dictionary such as {{"x": ("FP32", [-1, 4])}}'
        )
    found = []
    for tensor, content in declared.items():
        match content:
            case (str(datatype), [*shape]) if (
                isinstance(tensor, str)
                and datatype in NUMPY_OF
                and all(type(one) is int and one >= -1 for one in shape)
            ):
                found.append(TensorSpec(tensor, datatype, tuple(shape)))
            case _:
                raise ModelLoadError(
                    f"{_CLASS}.{name}[{tensor!r}] in {path} is {content!r}, expected a datatype "
                    'and a shape such as ("FP32", [-1, 4])'
                )
    return tuple(found)


def _check_settings(load: Any, path: Path, settings: Mapping[str, Any]) -> None:
    """Whether ``load`` takes the settings.

    Raises:
        ModelLoadError: It does not.
    """
    try:
        inspect.signature(load).bind(path.parent, **settings)
    except TypeError as error:
        given = ", ".join(map(repr, settings)) or "none"
        raise ModelLoadError(
            f"load of {_CLASS} in {path} does not take the directory and the settings of "
            f"[runtime] in model.toml ({given}): {error}"
        ) from error


def _is_text(metadata: Any) -> bool:
    return isinstance(metadata, Mapping) and all(
        isinstance(text, str) for pair in metadata.items() for text in pair
    )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
