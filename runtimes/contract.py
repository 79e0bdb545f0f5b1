"""The plug-in contract: what a runtime must offer so that Penstock can serve its models.

A runtime is found by the entry point group ``penstock.runtimes``; `penstock.runtimes.testing` holds
the conformance kit that its author runs. A runtime never batches, never queues and never looks at
HTTP: it turns files into a `Model`, and a `Model` turns arrays into arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    #: Any tensor; strings are object arrays of ``bytes``.
    Array = NDArray[Any]
else:

    def __getattr__(name: str) -> Any:
        """`Array`, when somebody asks: processes that read configuration stay without numpy."""
        if name != "Array":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from numpy.typing import NDArray

        return NDArray[Any]


#: A dimension whose size the model leaves open.
VARIABLE = -1


class RuntimeFailure(Exception):
    """Base of what a runtime may raise on purpose; the message is shown to the user."""


class ModelLoadError(RuntimeFailure):
    """The files do not make a model that this runtime can run."""


class ModelExecutionError(RuntimeFailure):
    """The model failed on these inputs."""


class UnsuitableInput(ModelExecutionError):
    """The inputs are surely at fault, not the model: the caller is told so with status 400."""


class ResourcesExhausted(ModelExecutionError):
    """Memory or the like gave out during the run: surely not the inputs' fault alone."""


#: A category as it was in the training data.
Category = str | bool | int | float


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table that a model was trained on: what one value of a row means.

    Attributes:
        name: Name of the column, any text. For an output it is the name of a class.
        categories: All values that the column may have, in the model's order; empty for categories
            that the model does not list; ``None`` for a column without categories. In a tensor of
            numbers a category is its position in this list, from 0, or a number that the owner
            chose, where there is no list. In a BYTES tensor it is its text.
        missing: Whether a row may lack the value: it is NaN in a tensor of floats, and the empty
            text in a BYTES tensor. Tensors of whole numbers cannot lack a value.
    """

    name: str
    categories: tuple[Category, ...] | None = None
    missing: bool = False


class ProcessEnded(ModelExecutionError):
    """The process of an isolated model ended before it answered, perhaps because of the inputs."""


class RunTimeout(ModelExecutionError):
    """The run of an isolated model took longer than it may, and its process was killed."""


class ModelAway(ModelExecutionError):
    """No process of an isolated model runs now; the inputs were not run.

    Attributes:
        retry_after_seconds: Seconds until a process is started again, as far as that is known.
    """

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a model.

    Attributes:
        name: As the model calls it.
        datatype: An OIP v2 datatype, a key of `penstock.runtimes.datatypes.NUMPY_OF`.
        shape: One entry per dimension, `VARIABLE` where open. ``()`` is a scalar.
        optional: An input that a request may leave out.
        columns: Meanings of the values of a row, where they are known. A tensor ``(rows, n)`` has
            ``n`` columns: an input of features, an output of one probability for each class. A
            tensor ``(rows,)`` has one: an input with categories, or an output of labels, each of
            which is the position of a class in the categories of the column. An input ``(rows,)``
            or ``(rows, 1)`` without columns is itself a column, named as the input.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives.

    Attributes:
        inputs: In the model's order.
        outputs: In the model's order.
        batch_axis: Whether rows of several requests may share a run, because each row is answered
            as if it were alone. It says that axis 0 is rows, too.
        batching: Reason for which rows may share runs, or may not, for people.
        remarks: Further findings of the runtime that contradict the files, for people.
        rows_axis: Whether axis 0 of every required input and of every output is rows: ``n`` rows
            give ``n`` rows. True whenever `batch_axis` is. Where it is true and `batch_axis` is
            not, each request runs alone, and its rows are logged and counted one by one. Where it
            is false, a request is one row.
        column_order: The names of all columns of all inputs in the order of the training data, in
            which a row can be a plain list; empty for the order of the inputs. A model needs it
            whose inputs divide the columns by type.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch_axis: bool
    batching: str = field(default="", compare=False)
    remarks: tuple[str, ...] = field(default=(), compare=False)
    rows_axis: bool = False
    column_order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Rows that may share a run are rows."""
        if self.batch_axis and not self.rows_axis:
            object.__setattr__(self, "rows_axis", True)


def no_examples(_: Signature) -> Sequence[Sequence[Array | None]]:
    """No request that a model was asked is known."""
    return ()


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to load a model.

    Attributes:
        threads: Threads inside one run (onnxruntime's intra-op); 1 serves throughput.
        settings: The table ``[runtime]`` of ``model.toml``, unchecked, or what the server has made
            of it (`penstock.runtimes.settings.read_settings`).
        max_rows: Most rows of several requests that will share a run.
        examples: Real requests of a model with this signature, each one array per input: its golden
            requests. A runtime may observe what its model makes of them.
        trusted_types: Types that the operator trusts in files that name types to be made.
        operator_libraries: Paths of libraries with custom operators, which the operator trusts.
    """

    threads: int = 1
    settings: Any = field(default_factory=dict)
    max_rows: int = 64
    examples: Callable[[Signature], Sequence[Sequence[Array | None]]] = no_examples
    trusted_types: tuple[str, ...] = ()
    operator_libraries: tuple[str, ...] = ()


class Model(Protocol):
    """One loaded model. `execute` may be called from several threads at once."""

    @property
    def signature(self) -> Signature:
        """Inputs, outputs and what axis 0 is, fixed for the life of the model."""
        ...

    @property
    def metadata(self) -> Mapping[str, str]:
        """Key/value pairs kept in the model file; empty where there are none."""
        ...

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        """Run the model once.

        Args:
            inputs: One array per `Signature.inputs` entry, in that order, of exactly its datatype;
                ``None`` for an optional input left out. Read-only arrays are allowed.
            outputs: Names of the wanted outputs, each an output of the signature.

        Returns:
            One C-contiguous array per wanted output, in the order asked for.

        Raises:
            ModelExecutionError: The model failed on these inputs.
        """
        ...

    def unload(self) -> None:
        """Release what the model holds. `execute` is not called afterwards."""
        ...


class Runtime(Protocol):
    """A plug-in: recognises model files and loads them.

    A runtime may have an attribute ``library``, a `penstock.runtimes.library.Library`, too: what
    `load` imports, which need not be installed. With ``isolated = True`` its models have processes
    of their own unless their owner says otherwise. With ``runs_code = True`` its files may hold
    code: each model has to be allowed by name. ``settings`` is the dataclass that ``[runtime]`` of
    ``model.toml`` becomes; without it the runtime takes any table.
    """

    @property
    def platform(self) -> str:
        """The OIP v2 platform name, for example ``onnx_onnxv1``."""
        ...

    def find(self, directory: Path) -> Path | None:
        """The model file of a version directory, or ``None`` if there is none for this runtime."""
        ...

    def load(self, path: Path, options: LoadOptions) -> Model:
        """Load the file that `find` gave.

        Raises:
            ModelLoadError: The file is broken or uses what the runtime does not have.
        """
        ...
