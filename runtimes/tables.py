"""What the runtimes of table models share: checks of inputs, outputs of classifiers, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from .contract import (
    VARIABLE,
    Column,
    ModelExecutionError,
    ResourcesExhausted,
    TensorSpec,
    UnsuitableInput,
)
from .datatypes import NUMPY_OF

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .contract import Array, Signature

    #: Answers a run: the inputs of the signature, none of them empty, and the names of the wanted
    #: outputs. Returns these outputs, and others if they cost nothing.
    Run = Callable[[Sequence[Array], Sequence[str]], Mapping[str, Array]]

LABEL: Final = "label"
PROBABILITIES: Final = "probabilities"
#: The output of a regression, which has no name of its own.
VALUE: Final = "value"
#: The output of a ranking, or the margin of a classifier.
SCORE: Final = "score"

#: Columns of a table, and classes of a model. A model file that claims more is not believed.
MAX_COLUMNS: Final = 1 << 16

#: Why rows share runs, for people.
ROWS_APART: Final = "trees answer each row by itself"


class TableModel:
    """Implements `penstock.runtimes.contract.Model` for a library that takes tables.

    Args:
        signature: Inputs and outputs; all have rows on axis 0.
        metadata: Key/value pairs that describe the model.
        run: Computes outputs; may raise anything.
    """

    __slots__ = ("_run", "metadata", "signature")

    def __init__(self, signature: Signature, metadata: Mapping[str, str], run: Run) -> None:
        self.signature = signature
        self.metadata = metadata
        self._run: Run | None = run

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        """See `penstock.runtimes.contract.Model.execute`."""
        if not outputs:
            return []
        run = self._run
        if run is None:
            raise ModelExecutionError("the model is unloaded")
        given = _checked(self.signature.inputs, inputs)
        rows = len(given[0])
        if not rows:
            specs = {spec.name: spec for spec in self.signature.outputs}
            return [_empty(specs[name]) for name in outputs]
        try:
            found = run(given, outputs)
        except ModelExecutionError:
            raise
        except MemoryError as error:
            raise ResourcesExhausted(f"memory gave out: {error}") from error
        except Exception as error:  # the errors of the libraries share no base class
            raise ModelExecutionError(first_line(error)) from error
        return [np.ascontiguousarray(found[name]) for name in outputs]

    def unload(self) -> None:
        """Drop the library's model; a run that goes on in another thread ends first."""
        self._run = None


def _checked(specs: Sequence[TensorSpec], inputs: Sequence[Array | None]) -> list[Array]:
    """The inputs of a run.

    Raises:
        ModelExecutionError: One is missing.
        UnsuitableInput: The shapes are none of the model's.
    """
    given: list[Array] = []
    for spec, array in zip(specs, inputs, strict=True):
        if array is None:
            raise ModelExecutionError(f"input '{spec.name}' is missing")
        width = spec.shape[1]
        if array.ndim != len(spec.shape) or array.shape[1] != width:
            raise UnsuitableInput(
                f"input '{spec.name}' has the shape {list(array.shape)}, expected [rows, {width}]"
            )
        given.append(array)
    if len({len(array) for array in given}) > 1:
        raise UnsuitableInput("the inputs have different numbers of rows")
    return given


def _empty(spec: TensorSpec) -> Array:
    return np.empty((0, *(max(size, 0) for size in spec.shape[1:])), NUMPY_OF[spec.datatype])


def classifier_outputs(
    classes: int, datatype: str, names: Sequence[object] | None = None, label: str = "INT64"
) -> tuple[TensorSpec, TensorSpec]:
    """The outputs ``label`` and ``probabilities``.

    Args:
        classes: Number of classes.
        datatype: Of the probabilities.
        names: The classes, if the model knows them; else a label is the position of its class.
        label: Datatype of the labels.
    """
    positions = (Column(LABEL, ()),) if names is None else ()
    columns = tuple(Column(str(one)) for one in names or ())
    return (
        TensorSpec(LABEL, label, (VARIABLE,), columns=positions),
        TensorSpec(PROBABILITIES, datatype, (VARIABLE, classes), columns=columns),
    )


def value_output(name: str, datatype: str, width: int) -> TensorSpec:
    """An output of one number for each row, or of several."""
    return TensorSpec(name, datatype, (VARIABLE,) if width == 1 else (VARIABLE, width))


def two_classes(probability: Array) -> Array:
    """The probabilities of both classes, ``(rows, 2)``, from that of the second, ``(rows,)``."""
    both = np.empty((len(probability), 2), probability.dtype)
    np.subtract(1.0, probability, out=both[:, 0])
    both[:, 1] = probability
    return both


def of_probabilities(found: Array) -> Mapping[str, Array]:
    """The outputs of a classifier, from the probabilities of its classes, ``(rows, classes)``."""
    return {LABEL: found.argmax(axis=1).astype(np.int64), PROBABILITIES: found}


def run_by(compiled: bool) -> dict[str, str]:  # noqa: FBT001  it is the only argument
    """Metadata of a model of trees: what computes its answers."""
    return {"run_by": "machine code" if compiled else "library"}


def check_names(names: Sequence[str], count: int) -> tuple[str, ...]:
    """The names of columns if each column has one of its own; else none."""
    return tuple(names) if len(names) == count == len(set(names)) else ()


def first_line(error: BaseException) -> str:
    """The message of a library's error without its stack trace."""
    text = str(error).strip() or repr(error)
    return text.splitlines()[0][:500]
