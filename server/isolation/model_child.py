"""The process of a model: it loads the model, and runs one batch after the other.

It may run by the interpreter of the version's own virtual environment: beside the runtime, it takes
the standard library and numpy only.
"""

from __future__ import annotations

import json
import pickle
import sys
from array import array
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.batching.contained import contained
from penstock.batching.outputs import check_outputs
from penstock.server.processes.priority import run_when_idle

from .errors import pack_error
from .link import LinkEnded
from .messages import ASK, DONE, EXAMPLES, FAILED, LOAD, LOADED, NEED, REFUSED, RUN, SEGMENT, Order
from .segment import Segment
from .tensor_memory import TensorMemory
from .tensors import pack_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.runtimes.contract import Array, Model, Signature

    from .link import Link

_NUMBER_BYTES: Final = 8
#: Lists of wanted outputs that are remembered.
_MOST_NAMES: Final = 64


def serve(link: Link) -> None:
    """Load a model, and run it until the connection ends."""
    _Server(link).serve()


class _Server:
    def __init__(self, link: Link) -> None:
        self._link = link
        self._segment: Segment | None = None
        self._tensors = TensorMemory(memoryview(b""))
        self._names: dict[bytes, list[str]] = {}

    def serve(self) -> None:
        order = pickle.loads(self._expect(LOAD))  # noqa: S301  from the server, not from a model
        self._take_segment()
        assert isinstance(order, Order)
        if order.search_path:
            sys.path[:] = order.search_path
        sys.dont_write_bytecode = True  # beside a model are the files of its version, no others
        try:
            model = contained(self._load, order)
            content = asdict(model.signature), dict(model.metadata)
            self._tell(LOADED, json.dumps(content).encode())
        except LinkEnded:
            raise
        except Exception as error:  # noqa: BLE001  a plug-in may raise anything
            self._link.send(REFUSED, pack_error(error))
            return
        if order.idle:
            run_when_idle()
        while True:
            self._run(model, self._expect(RUN))

    def _load(self, order: Order) -> Model:
        module, name = order.runtime
        runtime = getattr(import_module(module), name)()
        options = replace(order.options, examples=self._examples)
        model: Model = runtime.load(Path(order.path), options)
        return model

    def _examples(self, signature: Signature) -> Sequence[Sequence[Array | None]]:
        self._tell(ASK, json.dumps(asdict(signature)).encode())
        found: Sequence[Sequence[Array | None]] = pickle.loads(self._expect(EXAMPLES))  # noqa: S301  as above
        return found

    def _run(self, model: Model, content: bytes) -> None:
        segment = self._segment
        assert segment is not None
        begin = _NUMBER_BYTES * (1 + int.from_bytes(content[:_NUMBER_BYTES], sys.byteorder))
        signature = model.signature
        try:
            names = self._names_of(content[_NUMBER_BYTES:begin], signature)
            inputs = self._tensors.take(content[begin:])
            outputs = model.execute(inputs, names)
            sound = check_outputs(outputs, names, signature, _rows(signature, inputs))
            numbers = self._tensors.put_again(sound)
            packed = pack_tensors(sound) if numbers is None else None
        except BaseException as error:  # noqa: BLE001  of this run, whatever it is
            self._link.send(FAILED, pack_error(error))
            return
        if packed is not None:
            plain, pieces, size = packed
            if size > segment.size:
                self._larger(size)
            numbers = self._tensors.put(plain, pieces)
        assert numbers is not None
        self._link.send(DONE, numbers)

    def _names_of(self, numbers: bytes, signature: Signature) -> list[str]:
        """The outputs with these numbers, which nearly all runs want alike."""
        names = self._names.get(numbers)
        if names is None:
            names = [signature.outputs[number].name for number in array("q", numbers)]
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            self._names[numbers] = names
        return names

    def _tell(self, kind: int, content: bytes) -> None:
        """Say something that may be long."""
        segment = self._segment
        assert segment is not None
        if len(content) > segment.size:
            segment = self._larger(len(content))
        segment.memory[: len(content)] = content
        self._link.send(kind, array("q", [len(content)]).tobytes())

    def _larger(self, size: int) -> Segment:
        self._link.send(NEED, array("q", [size]).tobytes())
        self._expect(SEGMENT)
        return self._take_segment()

    def _take_segment(self) -> Segment:
        self._tensors.forget()
        if self._segment is not None:
            self._segment.close()
        self._segment = Segment(self._link.files.pop(0))
        self._tensors = TensorMemory(self._segment.memory)
        return self._segment

    def _expect(self, kind: int) -> bytes:
        """The content of the next message; another segment may come before it."""
        while True:
            found, content = self._link.expect()
            if found == kind:
                return content
            if found != SEGMENT:
                raise LinkEnded(f"a message of kind {found} came, {kind} was expected")
            self._take_segment()


def _rows(signature: Signature, inputs: Sequence[Array | None]) -> int:
    """Rows of a run, as the scheduler counts them."""
    if signature.batch_axis:
        for spec, one in zip(signature.inputs, inputs, strict=True):
            if one is not None and one.ndim and not spec.optional:
                return len(one)
    return 1
