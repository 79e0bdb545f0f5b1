"""Does what ``on_push`` says with new versions: names the first one stable, begins canaries."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from penstock.server.errors import ApiError, Unavailable

from .first_version import naming, unnamed, untried

if TYPE_CHECKING:
    from .coordinator import Coordinator

LOG = logging.getLogger("penstock.rollout")


class Begin(Protocol):
    """Begins the canary of a version, with the terms of ``model.toml``.

    Raises:
        ApiError: It cannot begin now.
    """

    async def __call__(self, model: str, version: int, /) -> object:
        """See the class."""


async def _no_canary(model: str, version: int, /) -> None:
    raise Unavailable(f"canaries of {model} {version} cannot begin yet")


class OnPush:
    """Looks at the versions after each report of a worker.

    Args:
        coordinator: Knows them, and commits what is decided.
        on_push: The server's option, for models that do not say.

    Attributes:
        begin: Begins a canary.
    """

    def __init__(self, coordinator: Coordinator, on_push: str) -> None:
        self._coordinator = coordinator
        self.begin: Begin = _no_canary
        self._on_push = on_push
        self._reported = asyncio.Event()
        self._refused: dict[str, int] = {}
        coordinator.on_reports = self._look

    async def run(self) -> None:
        """Begin canaries until cancelled. It waits for each, so reports go on meanwhile."""
        while True:
            await self._reported.wait()
            self._reported.clear()
            coordinator = self._coordinator
            found = untried(
                coordinator.planner.target.models,
                coordinator.store.state,
                coordinator.standings(),
                self._on_push,
            )
            for model, version in found.items():
                if self._refused.get(model) != version:
                    await self._try(model, version)

    async def _try(self, model: str, version: int) -> None:
        try:
            await self.begin(model, version)
        except ApiError as error:
            self._refused[model] = version  # a person has to look at it
            LOG.warning("%s version %d: no canary begins: %s", model, version, error.message)

    async def _look(self) -> None:
        """Name first versions, and have canaries begun."""
        coordinator = self._coordinator
        target, standings = coordinator.planner.target, coordinator.standings()
        models = unnamed(target.models, coordinator.store.state, standings, self._on_push)
        for model, version in models.items():
            digest = coordinator.digests({model: version}).get(model, "")
            try:
                await coordinator.commit(model, naming(model, version, digest))
            except Unavailable as error:
                LOG.error("%s stays without a stable version: %s", model, error.message)  # noqa: TRY400  one line says it
                return
        if models:
            await coordinator.replan()
        self._reported.set()
