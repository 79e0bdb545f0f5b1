"""A model in processes of its own: for the rest of the server it is a model like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.runtimes.contract import ModelExecutionError, ProcessEnded, RunTimeout
from penstock.server.processes.process_watch import resident_bytes

from .child_process import ChildEnded
from .model_process import ChildExhausted, ChildUnreached
from .process_pool import ProcessPool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.runtimes.contract import Array

    from .limits import Death
    from .model_process import ModelOrder
    from .process_pool import Slot

#: Processes that may turn out to be gone before one of them takes a run.
_MOST_TRIES: Final = 4


def _here(call: Callable[[], None]) -> None:
    call()


class IsolatedModel:
    """Implements `penstock.runtimes.contract.Model` by processes that share memory with this one.

    Args:
        order: Order of each process.
        count: Number of processes, and so of runs at once.
        on_change: Told of each end of a process that nobody asked for, and of each that runs again
            (``None``); on any thread.
        start: Calls a function on a thread whose priority the processes shall have.

    Attributes:
        signature: Of the model.
        metadata: Of the model.
        count: Number of its processes.
        run_seconds: Seconds that a run may take; its process is killed then.

    Raises:
        ModelLoadError: It cannot be loaded.
    """

    def __init__(
        self,
        order: ModelOrder,
        count: int,
        on_change: Callable[[Death | None], object] = bool,
        start: Callable[[Callable[[], None]], object] = _here,
    ) -> None:
        self.count = count
        self.run_seconds = order.load_seconds
        self._pool = ProcessPool(order, count, on_change)
        self.signature, self.metadata = self._pool.open(start)
        self._numbers = {one.name: number for number, one in enumerate(self.signature.outputs)}
        self._inputs = len(self.signature.inputs)

    @property
    def resident_bytes(self) -> int:
        """Resident memory of all its processes."""
        return sum(map(resident_bytes, self.pids))

    @property
    def pids(self) -> list[int]:
        """Ids of its processes, those that run now."""
        running = [slot.process for slot in self._pool.slots]
        return [one.child.pid for one in running if one is not None]

    @property
    def deaths(self) -> int:
        """Ends of its processes that nobody asked for."""
        return sum(slot.deaths for slot in self._pool.slots)

    def execute(self, inputs: Sequence[Array | None], outputs: Sequence[str]) -> list[Array]:
        """Run the model once, in one of its processes.

        Raises:
            ProcessEnded: The process ended meanwhile.
            RunTimeout: The run took too long, and its process was killed.
            ModelAway: There is no process now, and there will not be one soon.
            ModelExecutionError: The model failed on these inputs.
        """
        if not outputs:
            return []
        if len(inputs) != self._inputs:
            raise ModelExecutionError(f"{len(inputs)} inputs were given, expected {self._inputs}")
        numbers = [self._numbers[name] for name in outputs]
        for _ in range(_MOST_TRIES):
            slot = self._pool.acquire()
            try:
                return self._run(slot, inputs, numbers)
            except ChildUnreached:
                continue  # nothing was run yet
        raise ProcessEnded("its processes end before they are asked anything")

    def _run(
        self, slot: Slot, inputs: Sequence[Array | None], numbers: Sequence[int]
    ) -> list[Array]:
        pool, process = self._pool, slot.process
        assert process is not None
        try:
            answers = process.run(inputs, numbers, self.run_seconds)
        except ChildEnded as end:
            pool.bury(slot, end.death)
            if isinstance(end, ChildUnreached):
                raise
            if isinstance(end, ChildExhausted):
                raise end.error from None
            raise _ended(end.death) from None
        except BaseException:
            pool.release(slot)
            raise
        pool.release(slot)
        return answers

    def unload(self) -> None:
        """End its processes."""
        self._pool.close()


def _ended(death: Death) -> ModelExecutionError:
    if death.reason == "hang":
        return RunTimeout(f"the process of the model {death.detail}, and was killed")
    return ProcessEnded(f"the process of the model {death.detail} while it ran this request")
