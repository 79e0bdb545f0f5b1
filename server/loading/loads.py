"""The loads of one process: trials run side by side, then one load after the other."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from penstock.batching.contained import contained, words
from penstock.runtimes.contract import VARIABLE
from penstock.server.config.cpus import available_cpus
from penstock.server.config.size_limits import run_limit_seconds
from penstock.server.isolation.isolated_model import IsolatedModel
from penstock.server.processes.priority import lower_priority
from penstock.server.processes.pulse import Label

from .loading import Loader
from .model_opener import ModelOpener
from .process_memory import trim_memory
from .proofs import Proofs
from .prover import Prover
from .trial import Trials

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from penstock.runtimes.contract import Model, Signature
    from penstock.server.config.config import ServerConfig
    from penstock.server.config.model_config import ModelConfig
    from penstock.server.processes.pulse import Pulse

    from .load_order import LoadedModel, LoadOrder
    from .model_opener import OnChange

LOG = logging.getLogger("penstock.models")

#: Seconds from an unload until freed memory is returned to the system. At once would take longer
#: than the unload, and the next load, mostly of another version, would have to allocate it again.
TRIM_SECONDS: Final = 5.0
#: Trials at once: as many as there are CPUs, within these bounds. With two, one that hangs does not
#: keep the next from being made.
_FEWEST_TRIALS: Final = 2
_MOST_TRIALS: Final = 4

T = TypeVar("T")


class Loads:
    """Tries, loads and unloads versions away from the event loop.

    Args:
        loop: The event loop of the callers.
        config: Configuration of the server.
        pulse: Holds the load in progress.
        on_change: Told of the ends and restarts of models' processes; see `ModelOpener`.
        on_load: Told of each isolated version that was loaded.
        clock: Clock of the loads and the runs, monotonic seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: ServerConfig,
        pulse: Pulse,
        on_change: OnChange | None = None,
        on_load: Callable[[str, str], object] = lambda _name, _version: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._loop = loop
        self._pulse = pulse
        self._on_load = on_load
        self._clock = clock
        self._trim: asyncio.TimerHandle | None = None
        self._config = config
        state = config.state_dir
        kept = None if state is None else state / "proofs"
        proofs = Proofs(kept, libraries=config.libraries())
        opener = ModelOpener(config) if on_change is None else ModelOpener(config, on_change)
        self._loader = Loader(config, proofs, opener)
        trials = Trials(config) if config.load_trials else None
        self._prover = Prover(self._loader, proofs, trials)
        self._prepare = None if trials is None or proofs.any_kept() else trials.prepare
        size = min(max(_FEWEST_TRIALS, available_cpus()), _MOST_TRIALS)
        self._trying = ThreadPoolExecutor(size, "penstock-trial", lower_priority)
        # One thread: loading holds the interpreter lock for long stretches.
        self._loading = ThreadPoolExecutor(1, "penstock-load", lower_priority)

    def expect(self) -> None:
        """Start a trial process in advance, if no result of an earlier trial is kept."""
        if self._prepare is not None:
            self._trying.submit(self._prepare)

    @property
    def places(self) -> tuple[Path, ...]:
        """Directories that errors may name and callers need not know."""
        return self._loader.places

    def limit_seconds(self, config: ModelConfig) -> float:
        """The longest time of a load of this model, in seconds."""
        return config.load_timeout_seconds or self._config.load_timeout_seconds

    async def prove(self, order: LoadOrder) -> None:
        """See `Prover.prove`."""
        call = partial(contained, partial(self._prover.prove, order))
        await self._loop.run_in_executor(self._trying, call)

    async def load(self, order: LoadOrder) -> LoadedModel:
        """See `Loader.load`."""
        if self._loader.isolates(order):  # it limits itself, and keeps no other load waiting
            call = partial(contained, partial(self._loader.load, order))
            loaded = await self._loop.run_in_executor(self._trying, call)
            self._on_load(order.name, order.version)
            return loaded
        mark = self._pulse.mark(Label(order.name, order.version, order.limit_seconds))
        load = partial(self._loader.load, order)
        return await self._run(mark, load)

    async def unload(self, name: str, version: str, model: Model) -> str:
        """Have the runtime release a model; returns its error, if any."""
        mark = self._pulse.mark(Label(name, version, self._config.load_timeout_seconds))
        problem = ""
        try:
            await self._run(mark, partial(self._loader.unload, name, version, model))
        except Exception as error:  # a plug-in may raise anything; others go on
            LOG.exception("model %s version %s cannot be unloaded", name, version)
            problem = f"its runtime failed to unload it: {words(error)}"
        if self._trim is None:
            self._trim = self._loop.call_later(TRIM_SECONDS, self._give_back)
        return problem

    def run_mark(self, name: str, version: str, config: ModelConfig, loaded: LoadedModel) -> int:
        """The mark of a version's runs; it is registered with the longest time of a run.

        An isolated version has none: it is told how long its runs may take.

        Args:
            name: Name of the model.
            version: Its version.
            config: Configuration of the model.
            loaded: The version.
        """
        costs = loaded.costs
        asked = config.run_timeout_seconds or self._config.run_timeout_seconds
        known = costs is not None and runs_are_bounded(loaded.model.signature)
        slowest = max(costs.seconds) if known and costs is not None else None
        limit = run_limit_seconds(asked, slowest)
        if isinstance(loaded.model, IsolatedModel):
            loaded.model.run_seconds = limit
            return 0
        return self._pulse.mark(Label(name, version, limit))

    async def _run(self, mark: int, work: Callable[[], T]) -> T:
        call = partial(contained, partial(self._marked, mark, work))
        return await self._loop.run_in_executor(self._loading, call)

    def _give_back(self) -> None:
        self._trim = None
        with suppress(RuntimeError):  # the executor is closed: so is the process, in a moment
            self._loading.submit(trim_memory)

    def _marked(self, mark: int, function: Callable[[], T]) -> T:
        marks, slot = self._pulse.marks, self._pulse.loading_slot
        marks.register(slot)
        marks.since[slot] = self._clock()
        marks.running[slot] = mark
        try:
            return function()
        finally:
            marks.running[slot] = 0

    def close(self) -> None:
        """Stop; a load that does not end is abandoned."""
        self._prover.close()
        self._trying.shutdown(wait=False, cancel_futures=True)
        self._loading.shutdown(wait=False, cancel_futures=True)
        self._loader.close()


def runs_are_bounded(signature: Signature) -> bool:
    """Whether the runs measured at load are the largest that any request can cause.

    Rows that may share runs are cut into runs of the largest size; any other open dimension is as
    long as the caller likes, and so is a text. Pure.
    """
    first = 1 if signature.batch_axis else 0
    return all(
        VARIABLE not in one.shape[first:] and one.datatype != "BYTES" for one in signature.inputs
    )
