"""The thread on which versions are loaded and unloaded, as the event loop sees it."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from penstock.batching.contained import contained, words

from .process_memory import trim_memory

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import Executor

    from penstock.runtimes.contract import Model

    from .loading import LoadedModel, Loader, LoadOrder

P = ParamSpec("P")
T = TypeVar("T")

LOG = logging.getLogger("penstock.models")

#: From an unload until freed memory goes back to the system. At once would take longer than the
#: unload, and the next load, of another version as a rule, would have to ask for it all again.
TRIM_SECONDS: Final = 5.0


class LoadingThread:
    """Loads and unloads off the event loop; whatever a plug-in raises is an ordinary error here.

    Args:
        loop: Waits for it.
        loader: Does it.
        executor: One thread, neither the event loop nor one that executes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, loader: Loader, executor: Executor) -> None:
        self._loop = loop
        self._loader = loader
        self._executor = executor
        self._trim: asyncio.TimerHandle | None = None

    async def load(self, order: LoadOrder) -> LoadedModel:
        """Load a version.

        Raises:
            Exception: Whatever is wrong with it.
        """
        return await self._run(self._loader.load, order)

    async def unload(self, name: str, version: str, model: Model) -> str:
        """Have the runtime release a model; returns what went wrong, if anything did."""
        problem = ""
        try:
            await self._run(self._loader.unload, name, version, model)
        except Exception as error:  # a plug-in may raise anything; others go on
            LOG.exception("model %s version %s cannot be unloaded", name, version)
            problem = f"its runtime failed to unload it: {words(error)}"
        if self._trim is None:
            self._trim = self._loop.call_later(TRIM_SECONDS, self._give_back)
        return problem

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        call = partial(contained, work, *args, **kwargs)
        return await self._loop.run_in_executor(self._executor, call)

    def _give_back(self) -> None:
        self._trim = None
        with suppress(RuntimeError):  # the executor is closed: so is the process, in a moment
            self._executor.submit(trim_memory)
