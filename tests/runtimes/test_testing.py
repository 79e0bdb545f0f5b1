"""The kit passes a right runtime and finds each way of being wrong."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from penstock.runtimes.contract import (
    VARIABLE,
    LoadOptions,
    ModelExecutionError,
    ModelLoadError,
    Signature,
    TensorSpec,
)
from penstock.runtimes.testing import check_runtime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array, Model

MAGIC = b"twice and square\n" * 4


class Right:
    """``twice`` = 2x and ``square`` = x * x for FP32 rows of three."""

    metadata: Any = {}  # noqa: RUF012  never changed
    signature: Any = Signature(
        (TensorSpec("x", "FP32", (VARIABLE, 3)),),
        (TensorSpec("twice", "FP32", (VARIABLE, 3)), TensorSpec("square", "FP32", (VARIABLE, 3))),
        batch_axis=True,
    )

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        (x,) = inputs
        if x is None or x.shape[1:] != (3,):
            raise ModelExecutionError("x must have 3 columns")
        answers = self.answer(x)
        return [answers[name] for name in outputs]

    def answer(self, x: Array) -> dict[str, Array]:
        return {"twice": x * np.float32(2), "square": x * x}

    def unload(self) -> None:
        pass


class Runtime:
    platform: Any = "right"

    def __init__(self, model: type[Any] = Right) -> None:
        self.model = model

    def find(self, directory: Path) -> Path | None:
        path = directory / "model.bin"
        return path if path.exists() else None

    def load(self, path: Path, options: LoadOptions) -> Model:
        if options.settings:
            raise ModelLoadError(f"no such setting: {list(options.settings)}")
        if not path.is_file() or path.read_bytes() != MAGIC:
            raise ModelLoadError(f"{path} is broken")
        model: Model = self.model()
        return model


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "model.bin").write_bytes(MAGIC)
    return tmp_path


def test_a_right_runtime_passes_and_its_files_are_left_alone(directory: Path) -> None:
    check_runtime(Runtime(), directory)
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    check_runtime(Runtime(), directory, inputs=[x])
    assert [path.name for path in directory.iterdir()] == ["model.bin"]
    assert (directory / "model.bin").read_bytes() == MAGIC


def declare(**changes: Any) -> type[Right]:
    return type("Declared", (Right,), {"signature": replace(Right.signature, **changes)})


def answering(**answers: Any) -> type[Right]:
    """Outputs replaced by functions of x."""

    def answer(_: Right, x: Array) -> dict[str, Array]:
        right = {"twice": x * np.float32(2), "square": x * x}
        return right | {name: function(x) for name, function in answers.items()}

    return type("Answering", (Right,), {"answer": answer})


ALONE: Any = {"batch_axis": False, "rows_axis": True}


def alone(square: Any) -> type[Right]:
    """The same of a model whose axis 0 is rows and whose requests share no run."""
    return type("Alone", (answering(square=square), declare(**ALONE)), {})


def executing(execute: Any) -> type[Right]:
    return type("Executing", (Right,), {"execute": execute})


SHARED: dict[str, Array] = {}


def buffered(x: Array) -> Array:
    buffer = SHARED.setdefault(str(x.shape), np.empty_like(x))
    return np.multiply(x, x, out=buffer)


def first_thread_only(x: Array) -> Array:
    return x * x if threading.current_thread() is threading.main_thread() else x * 0


def clobber(self: Right, inputs: Any, outputs: Any) -> list[Array]:
    answers = Right.execute(self, inputs, outputs)
    if inputs[0].flags.writeable:
        inputs[0][...] = 0
    return answers


def in_place(self: Right, inputs: Any, outputs: Any) -> list[Array]:
    inputs[0][...] = inputs[0]
    return Right.execute(self, inputs, outputs)


def all_outputs(self: Right, inputs: Any, _: Any) -> list[Array]:
    return Right.execute(self, inputs, ["twice", "square"])


def signature_order(self: Right, inputs: Any, outputs: Any) -> list[Array]:
    return Right.execute(self, inputs, [n for n in ("twice", "square") if n in outputs])


def different_alone(self: Right, inputs: Any, outputs: Any) -> list[Array]:
    answers = Right.execute(self, inputs, outputs)
    return answers if len(outputs) == 2 else [array * 2 for array in answers]


def nothing_means_all(self: Right, inputs: Any, outputs: Any) -> list[Array]:
    return Right.execute(self, inputs, outputs or ["twice", "square"])


def lists_only(self: Right, inputs: Any, outputs: Any) -> Any:
    return tuple(Right.execute(self, inputs, outputs))


def leaking_errors(self: Right, inputs: Any, outputs: Any) -> list[Array]:
    assert inputs[0].ndim == 2, "rank"
    return Right.execute(self, inputs, outputs)


def mute_errors(self: Right, inputs: Any, outputs: Any) -> list[Array]:
    if inputs[0].ndim != 2:
        raise ModelExecutionError
    return Right.execute(self, inputs, outputs)


def never_empty(x: Array) -> Array:
    return np.zeros((1, 3), np.float32) if not len(x) else x * x


UNTYPED: Any = [[-1, 3], (None, 3)]
X = TensorSpec("x", "FP32", (VARIABLE, 3))
Y = TensorSpec("twice", "FP32", (VARIABLE, 3))

BAD_MODELS: dict[str, tuple[str, type[Any]]] = {
    "no metadata": ("contract", type("Bare", (), {"signature": None, "execute": None})),
    "no signature": ("signature", type("None_", (Right,), {"signature": None})),
    "no outputs": ("signature", declare(outputs=())),
    "twin outputs": ("signature", declare(outputs=(Y, Y))),
    "nameless": ("signature", declare(inputs=(replace(X, name=""),))),
    "odd datatype": ("signature", declare(inputs=(replace(X, datatype="FLOAT"),))),
    "odd shape": ("signature", declare(inputs=(replace(X, shape=(-1, -2)),))),
    "list shape": ("signature", declare(inputs=(replace(X, shape=UNTYPED[0]),))),
    "None in shape": ("signature", declare(inputs=(replace(X, shape=UNTYPED[1]),))),
    "fixed batch axis": ("signature", declare(outputs=(replace(Y, shape=(3, 3)),))),
    "odd metadata": ("metadata", type("M", (Right,), {"metadata": {"a": 1}})),
    "double": ("dtype", answering(square=lambda x: (x * x).astype(np.float64))),
    "Fortran order": ("contiguity", answering(square=lambda x: np.asfortranarray(x * x))),
    "no array": ("execute", answering(square=lambda x: (x * x).tolist())),
    "undeclared shape": ("shape", answering(square=lambda x: (x * x).reshape(-1))),
    "too few outputs": ("execute", executing(lambda *_: [])),
    "tuple": ("execute", executing(lists_only)),
    "unasked outputs": ("output order", executing(all_outputs)),
    "own order": ("output order", executing(signature_order)),
    "answers depend on what is asked": ("output subset", executing(different_alone)),
    "none is all": ("execute", executing(nothing_means_all)),
    "writes inputs": ("inputs", executing(clobber)),
    "needs writeable inputs": ("read-only inputs", executing(in_place)),
    "reuses a buffer": ("fresh outputs", answering(square=buffered)),
    "one thread only": ("threads", answering(square=first_thread_only)),
    "loses rows": ("row counts", answering(square=lambda x: x[:1] * x[:1])),
    "adds rows": ("row counts", answering(square=lambda x: np.repeat(x, 2, 0))),
    "alone and loses rows": ("row counts", alone(lambda x: x[:1] - x.mean(0))),
    "alone and fixed": ("signature", declare(**ALONE, outputs=(replace(Y, shape=(3, 3)),))),
    "couples rows": ("rows", answering(square=lambda x: x - x.mean(axis=0, keepdims=True))),
    "fills empty batches": ("empty batch", answering(square=never_empty)),
    "own exceptions": ("execution error", executing(leaking_errors)),
    "mute exceptions": ("execution error", executing(mute_errors)),
}


def test_rows_that_influence_each_other_are_rows_all_the_same(directory: Path) -> None:
    check_runtime(Runtime(alone(lambda x: x - x.mean(0))), directory)


def test_a_signature_of_before_keeps_its_meaning() -> None:
    shared, single = (Signature((X,), (Y,), batch_axis) for batch_axis in (True, False))
    assert (shared.batch_axis, shared.rows_axis) == (True, True)
    assert (single.batch_axis, single.rows_axis) == (False, False)


@pytest.mark.parametrize("fault", BAD_MODELS)
def test_a_bad_model_is_found(directory: Path, fault: str) -> None:
    rule, model = BAD_MODELS[fault]
    with pytest.raises(AssertionError, match=f"^{rule}: "):
        check_runtime(Runtime(model), directory)


def test_str_instead_of_bytes_is_found(directory: Path) -> None:
    class Texts(Right):
        signature = Signature(
            (TensorSpec("x", "FP32", (VARIABLE, 3)),),
            (TensorSpec("text", "BYTES", (VARIABLE,)),),
            batch_axis=True,
        )

        def answer(self, x: Array) -> dict[str, Array]:
            return {"text": np.array(["text"] * len(x), np.object_)}

    with pytest.raises(AssertionError, match=r"^dtype: output 'text' must hold bytes"):
        check_runtime(Runtime(Texts), directory)


class Nameless(Runtime):
    platform = ""


class FindsAnywhere(Runtime):
    def find(self, directory: Path) -> Path | None:
        return directory / "model.bin"


class FindsNothing(Runtime):
    def find(self, directory: Path) -> Path | None:
        return None


class FindsElsewhere(Runtime):
    def find(self, directory: Path) -> Path | None:
        return directory.parent if (directory / "model.bin").exists() else None


class IgnoresSettings(Runtime):
    def load(self, path: Path, options: LoadOptions) -> Model:
        return super().load(path, LoadOptions())


class LoadsAnything(Runtime):
    def __init__(self, harmless: bytes) -> None:
        super().__init__()
        self.harmless = harmless

    def load(self, path: Path, options: LoadOptions) -> Model:
        if path.exists() and path.read_bytes() == self.harmless:
            return Right()
        return super().load(path, options)


class LoadsMissing(Runtime):
    def load(self, path: Path, options: LoadOptions) -> Model:
        return super().load(path, options) if path.exists() else Right()


class LeaksLoadErrors(Runtime):
    def load(self, path: Path, options: LoadOptions) -> Model:
        if path.exists() and not path.read_bytes():
            raise EOFError("empty")
        return super().load(path, options)


class SharesState(Runtime):
    """Unloading one model breaks the others."""

    def load(self, path: Path, options: LoadOptions) -> Model:
        super().load(path, options)
        alive = self.__dict__.setdefault("alive", [True])

        class Sharing(Right):
            def answer(self, x: Array) -> dict[str, Array]:
                if not alive[0]:
                    raise ModelExecutionError("gone")
                return super().answer(x)

            def unload(self) -> None:
                alive[0] = False

        return Sharing()


BAD_RUNTIMES = {
    "nameless": ("contract", Nameless()),
    "finds what is not there": ("find", FindsAnywhere()),
    "finds nothing": ("find", FindsNothing()),
    "finds elsewhere": ("find", FindsElsewhere()),
    "ignores settings": ("unknown setting", IgnoresSettings()),
    "loads nothing": ("empty file", LoadsAnything(b"")),
    "loads half": ("truncated file", LoadsAnything(MAGIC[: len(MAGIC) // 2])),
    "loads text": ("not a model", LoadsAnything(b"this is not a model\n" * 10)),
    "loads what is not there": ("missing file", LoadsMissing()),
    "own load errors": ("empty file", LeaksLoadErrors()),
    "unloads all": ("unload", SharesState()),
}


@pytest.mark.parametrize("fault", BAD_RUNTIMES)
def test_a_bad_runtime_is_found(directory: Path, fault: str) -> None:
    rule, runtime = BAD_RUNTIMES[fault]
    with pytest.raises(AssertionError, match=f"^{rule}: "):
        check_runtime(runtime, directory)
