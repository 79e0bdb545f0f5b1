"""The conformance kit: what every runtime promises, checked on a real model.

    from penstock.runtimes.testing import check_runtime

    def test_conformance(tmp_path):
        ...  # put a model into tmp_path
        check_runtime(MyRuntime(), tmp_path)

A broken promise raises `AssertionError` whose message begins with the rule's name.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .contract import LoadOptions, ModelLoadError
from .testing_model import check_model, conformance_inputs, raises_only, require, run_checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .contract import Array, Model, Runtime


def check_runtime(
    runtime: Runtime,
    directory: Path,
    *,
    options: LoadOptions | None = None,
    inputs: Sequence[Array | None] | None = None,
    tolerance: float = 1e-4,
) -> None:
    """Check every rule of `penstock.runtimes.contract`.

    Args:
        runtime: The plug-in.
        directory: Holds a model that the runtime finds; it is not changed.
        options: For the loads.
        inputs: As for `check_model`.
        tolerance: As for `check_model`.

    Raises:
        AssertionError: The first broken rule, with its name.
    """
    options = options or LoadOptions()
    path = _check_find(runtime, directory)
    model = _load(runtime, path, options)
    check_model(model, inputs, tolerance=tolerance)
    _check_load_errors(runtime, directory, path, options)
    _check_unload(runtime, path, options, model, inputs)


def _load(runtime: Runtime, path: Path, options: LoadOptions) -> Model:
    model = runtime.load(path, options)
    for name in ("signature", "metadata", "execute", "unload"):
        require(hasattr(model, name), "contract", f"the model has no {name!r}")
    return model


def _check_find(runtime: Runtime, directory: Path) -> Path:
    require(
        isinstance(runtime.platform, str) and runtime.platform,
        "contract",
        "platform must be a non-empty string",
    )
    with tempfile.TemporaryDirectory() as empty:
        found = runtime.find(Path(empty))
        require(found is None, "find", f"must be None for an empty directory, not {found}")
    path = runtime.find(directory)
    require(isinstance(path, Path), "find", f"found no model file in {directory}: {path!r}")
    assert path is not None
    require(path.exists(), "find", f"{path} does not exist")
    require(path.is_relative_to(directory), "find", f"{path} is outside of {directory}")
    return path


def _check_load_errors(runtime: Runtime, directory: Path, path: Path, options: LoadOptions) -> None:
    def refuses(rule: str, file: Path, how: LoadOptions) -> None:
        raises_only(ModelLoadError, rule, lambda: runtime.load(file, how), must=True)

    misspelt = replace(options, settings={**options.settings, "no-such-setting": 1})
    refuses("unknown setting", path, misspelt)
    if not path.is_file():
        return
    content = path.read_bytes()
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(directory, copy, dirs_exist_ok=True)
        broken = Path(copy) / path.relative_to(directory)
        for rule, damaged in (
            ("empty file", b""),
            ("truncated file", content[: len(content) // 2]),
            ("not a model", b"this is not a model\n" * 10),
        ):
            broken.write_bytes(damaged)
            refuses(rule, broken, options)
        broken.unlink()
        refuses("missing file", broken, options)


def _check_unload(
    runtime: Runtime,
    path: Path,
    options: LoadOptions,
    model: Model,
    inputs: Sequence[Array | None] | None,
) -> None:
    other = _load(runtime, path, options)
    model.unload()
    try:
        given = conformance_inputs(other) if inputs is None else inputs
        run_checked(other, given, [spec.name for spec in other.signature.outputs])
        other.unload()
        _load(runtime, path, options).unload()
    except Exception as error:
        raise AssertionError(f"unload: must not affect other loads: {error!r}") from error
