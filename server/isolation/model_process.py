"""The server's end of one process of a model."""

from __future__ import annotations

import pickle
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from penstock.batching.contained import text_of
from penstock.monitoring.files.decoding import ContentError, convert, decode_json
from penstock.runtimes.contract import (
    ModelExecutionError,
    ModelLoadError,
    ResourcesExhausted,
    Signature,
)

from .child_output import ChildOutput
from .child_process import ChildEnded, ChildProcess
from .errors import unpack_error
from .limits import Death
from .messages import ASK, DONE, EXAMPLES, FAILED, LOAD, LOADED, NEED, REFUSED, RUN, SEGMENT
from .segment import FIRST_BYTES, MOST_BYTES, Segment
from .tensor_memory import TensorMemory
from .tensors import BadTensors, pack_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Array

    from .limits import ProcessLimits
    from .messages import Order

_TARGET: Final = "penstock.server.isolation.model_child:serve"
#: Runs in a row without memory after which a process is taken to have leaked it.
_MOST_EXHAUSTED: Final = 3
#: A segment that was made for one large run is given back after so many small ones.
_SMALL_RUNS: Final = 256
_NUMBER_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class ModelOrder:
    """What a process of a model is and does.

    Attributes:
        name: Model and version, for the log.
        order: Order of what it loads.
        examples: Golden requests for a signature.
        limits: Limits of the process.
        load_seconds: Seconds that a load may take.
        environ: Environment of the process.
        python: Interpreter of the version's own virtual environment, if it has one.
    """

    name: str
    order: Order
    examples: Callable[[Signature], Sequence[Sequence[Array | None]]]
    limits: ProcessLimits
    load_seconds: float
    environ: Mapping[str, str]
    python: Path | None = None


class ModelProcess:
    """One life of a process that holds a model. One thread at a time uses it.

    Args:
        order: Order of the process.

    Raises:
        OSError: No process could be started, or there is no memory for its segment.
    """

    def __init__(self, order: ModelOrder) -> None:
        self._order = order
        self._exhausted = self._small = 0
        self._segment = Segment.create(FIRST_BYTES)
        self._tensors = TensorMemory(self._segment.memory)
        try:
            output = ChildOutput(order.name)
            try:
                self.child = ChildProcess(
                    _TARGET,
                    order.limits,
                    python=order.python,
                    environ=order.environ,
                    output=output.descriptor,
                )
            finally:
                output.close()
        except BaseException:
            self._segment.close()
            raise

    def load(self) -> tuple[Signature, Mapping[str, str]]:
        """Have it load the model: signature and metadata.

        Raises:
            ModelLoadError: The runtime refuses the files.
            ChildEnded: The process is gone, or had to go.
        """
        limit = self._order.load_seconds
        self._send(LOAD, pickle.dumps(self._order.order), self._segment.descriptor)
        while True:
            kind, content = self._receive(limit)
            if kind == LOADED:
                signature, metadata = self._told(content, tuple[Signature, dict[str, str]])
                return signature, metadata
            if kind == ASK:
                signature = self._told(content, Signature)
                self._send(EXAMPLES, pickle.dumps(self._order.examples(signature)))
            elif kind == REFUSED:
                error, _ = self._error(content)
                if isinstance(error, ModelLoadError):
                    raise error
                raise ModelLoadError(f"loading it failed: {text_of(error)}")
            else:
                self._misunderstood(f"a message of kind {kind}")

    def run(
        self, inputs: Sequence[Array | None], outputs: Sequence[int], limit: float
    ) -> list[Array]:
        """Run the model once.

        Args:
            inputs: As `Model.execute` has them.
            outputs: Numbers of the wanted outputs.
            limit: Seconds that it may take.

        Raises:
            ChildEnded: The process is gone, or had to go.
            Exception: The model's error.
        """
        try:
            numbers = self._put(inputs)
            self._send(RUN, array("q", (len(outputs), *outputs)).tobytes() + numbers)
        except ChildEnded as end:
            raise ChildUnreached(end.death) from None
        while True:
            kind, content = self._receive(limit)
            if kind == DONE:
                self._exhausted = 0
                return self._answers(content, len(outputs))
            if kind == FAILED:
                failure, files = self._error(content)
                self._note(failure, files=files)
                raise failure
            self._misunderstood(f"a message of kind {kind}")

    def _put(self, inputs: Sequence[Array | None]) -> bytes:
        """Write the inputs into the segment, or into another one that has room; their numbers."""
        if self._segment.size == FIRST_BYTES:
            again = self._tensors.put_again(inputs)
            if again is not None:
                return again
        try:
            numbers, pieces, size = pack_tensors(inputs)
        except (TypeError, KeyError) as error:
            raise ModelExecutionError(f"the inputs are no tensors: {error!r}") from error
        if size > self._segment.size or self._too_large(size):
            self._replace(size)
        return self._tensors.put(numbers, pieces)

    def close(self) -> None:
        """End it."""
        self.child.close()
        self._tensors.forget()
        self._segment.close()

    def _receive(self, limit: float) -> tuple[int, bytes]:
        """The next message; a wish for a larger segment, one at most, is granted before."""
        kind, content = self.child.receive(limit)
        if kind != NEED:
            return kind, content
        try:
            self._replace(self._number(content))
        except ResourcesExhausted as error:
            raise ChildExhausted(Death("memory", str(error)), error) from None
        return self.child.receive(limit)

    def _send(self, kind: int, content: bytes = b"", file: int | None = None) -> None:
        self.child.send(kind, content, self._order.load_seconds, file)

    def _replace(self, size: int) -> None:
        """Share another segment with the process.

        Raises:
            ResourcesExhausted: It would be too large; the process is as it was.
            ChildEnded: A process that wants so much is ended.
        """
        try:
            if not 0 <= size <= MOST_BYTES:
                raise OSError(f"{size} bytes are over {MOST_BYTES}")
            segment = Segment.create(size)
        except OSError as error:
            text = f"the tensors of a run take {size} bytes, and cannot be handed over: {error}"
            raise ResourcesExhausted(text) from error
        before, self._segment = self._segment, segment
        self._tensors = TensorMemory(segment.memory)
        before.close()
        self._send(SEGMENT, file=segment.descriptor)

    def _too_large(self, size: int) -> bool:
        """Whether the segment has been far too large for many runs."""
        if self._segment.size == FIRST_BYTES or size * 4 > self._segment.size:
            self._small = 0
            return False
        self._small += 1
        return self._small > _SMALL_RUNS

    def _answers(self, content: bytes, count: int) -> list[Array]:
        try:
            answers = self._tensors.take(content)
        except (BadTensors, ValueError, OverflowError, MemoryError) as error:
            self._misunderstood(str(error))
        found = [one for one in answers if one is not None]
        if len(found) != count:
            self._misunderstood(f"{len(found)} outputs, {count} were asked for")
        return found

    def _told(self, content: bytes, kind: Any) -> Any:
        """What the process says at length."""
        size = self._number(content)
        if not 0 <= size <= self._segment.size:
            self._misunderstood(f"{size} bytes in a segment of {self._segment.size}")
        text = bytes(self._segment.memory[:size])
        try:
            return convert(kind, decode_json(text, "", own=True), "its description")
        except ContentError as error:
            self._misunderstood(str(error))

    def _number(self, content: bytes) -> int:
        if len(content) != _NUMBER_BYTES:
            self._misunderstood("something else than a number")
        return array("q", content)[0]

    def _error(self, content: bytes) -> tuple[Exception, bool]:
        try:
            return unpack_error(content)
        except (ValueError, TypeError):
            self._misunderstood("an error that cannot be read")

    def _note(self, error: Exception, *, files: bool) -> None:
        """End a process that has run out of what it does not give back."""
        self._exhausted = self._exhausted + 1 if isinstance(error, ResourcesExhausted) else 0
        if files or self._exhausted >= _MOST_EXHAUSTED:
            what = "open files" if files else "memory"
            raise ChildExhausted(Death("memory", f"ran out of {what}: {error}"), error)

    def _misunderstood(self, what: str) -> NoReturn:
        self.child.condemn(Death("crash", f"said what nobody understands: {what}"))


class ChildUnreached(ChildEnded):
    """The process was gone before it was asked."""


class ChildExhausted(ChildEnded):
    """The process has answered with an error, and is of no more use.

    Attributes:
        error: The error of the run.
    """

    def __init__(self, death: Death, error: Exception) -> None:
        super().__init__(death)
        self.error = error
