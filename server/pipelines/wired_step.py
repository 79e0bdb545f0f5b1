"""One step of a pipeline whose inputs have their sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.batching.errors import InvalidOutput
from penstock.runtimes.contract import VARIABLE, UnsuitableInput
from penstock.server.codecs.empty import one_row
from penstock.server.codecs.messages import InferRequest
from penstock.server.codecs.request import batch_key

from .step_failed import StepFailed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from penstock.runtimes.contract import Array, TensorSpec
    from penstock.server.codecs.signature import WireInput, WireSignature


class WiredStep:
    """A step, ready to be run.

    Attributes:
        label: The step and its version, for people.
        wire: Signature of the model.
        takes: The slot of each input, in signature order; ``None`` for an input without a source.
        taken: The slots of the inputs that have a source.
        gives: The slot of each output, in signature order.
    """

    __slots__ = ("_given", "gives", "label", "taken", "takes", "wire")

    def __init__(
        self,
        label: str,
        wire: WireSignature,
        takes: Sequence[int | None],
        given: Sequence[TensorSpec | None],
        gives: dict[str, int],
    ) -> None:
        """Wire a step.

        Args:
            label: See the attribute.
            wire: See the attribute.
            takes: See the attribute.
            given: Promise of the source of each input; ``None`` without a source, or if the
                request brings it, which has been checked.
            gives: See the attribute.
        """
        self.label = label
        self.wire = wire
        self.takes = tuple(takes)
        self.taken = tuple(slot for slot in takes if slot is not None)
        self.gives = gives
        self._given = tuple(given)

    def asked(self, wanted: Collection[str]) -> tuple[str, ...]:
        """Names of the wanted outputs in signature order; one object if all are wanted."""
        names = tuple(name for name in self.gives if name in wanted)
        return self.wire.all_outputs if names == self.wire.all_outputs else names

    def request(self, values: Sequence[Array | None], outputs: tuple[str, ...]) -> InferRequest:
        """The request to the model, as a client would have sent it.

        A request without rows to a model that runs rows gets one made-up row, and
        `InferRequest.rows` is 0: the answer is to be cut (see `rows_of_answer`).

        Args:
            values: The values of the pipeline, by slot.
            outputs: Names of the wanted outputs, from `asked`.

        Raises:
            StepFailed: The values do not fit the model.
        """
        wire = self.wire
        arrays = [None if slot is None else values[slot] for slot in self.takes]
        rows = -1
        for spec, array, given in zip(wire.inputs.values(), arrays, self._given, strict=True):
            if array is None:
                continue  # an optional input: `Wiring` has seen to that
            if given is not None and not _fits(array, spec.shape):
                raise StepFailed(self.label, _misfit(spec, array, given))
            if spec.batched:
                if rows >= 0 and len(array) != rows:
                    text = f"input {spec.name!r} has {len(array)} rows beside inputs of {rows}"
                    raise StepFailed(self.label, UnsuitableInput(text))
                rows = len(array)
        if rows > wire.max_rows:
            text = f"its inputs have {rows} rows, at most {wire.max_rows} are allowed"
            raise StepFailed(self.label, UnsuitableInput(text))
        if rows == 0:
            arrays = one_row(arrays, wire)
        message = InferRequest(arrays, rows if wire.batch_axis else 1, outputs)
        if not wire.static or outputs is not wire.all_outputs:
            message.key = batch_key(wire, message)
        return message


def rows_of_answer(message: InferRequest, outputs: Sequence[Array]) -> Sequence[Array]:
    """The outputs of a step; without rows if its request had none."""
    return outputs if message.rows else [output[:0] for output in outputs]


def _fits(array: Array, shape: tuple[int, ...]) -> bool:
    return array.ndim == len(shape) and all(
        wanted in (size, VARIABLE) for size, wanted in zip(array.shape, shape, strict=True)
    )


def _misfit(spec: WireInput, array: Array, given: TensorSpec) -> Exception:
    """The error of a value that does not fit: of the step that gave it, or of the request."""
    text = f"input {spec.name!r} has shape {list(array.shape)}, expected {list(spec.shape)}"
    if not _fits(array, given.shape):
        return InvalidOutput(f"{text}; the step that gave it promised {list(given.shape)}")
    return UnsuitableInput(text)
