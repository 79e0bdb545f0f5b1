"""Does what ``on_push`` says with new versions: names the first one stable, begins canaries."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from penstock.server.config.version_policy import SERVE
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
        coordinator.on_reports = self._reported.set

    async def run(self) -> None:
        """Name versions and begin canaries until cancelled; reports go on meanwhile."""
        while True:
            await self._reported.wait()
            self._reported.clear()
            coordinator = self._coordinator
            plans = coordinator.planner.target.models
            if all((one.config.on_push or self._on_push) == SERVE for one in plans.values()):
                continue
            await self._name_first_versions()
            state, standings = coordinator.store.state, coordinator.standings()
            found = untried(plans, state, standings, self._on_push)
            for model, version in found.items():
                if self._refused.get(model) != version:
                    await self._try(model, version)

    async def _try(self, model: str, version: int) -> None:
        try:
            await self.begin(model, version)
        except ApiError as error:
            self._refused[model] = version  # a person has to look at it
            LOG.warning("%s version %d: no canary begins: %s", model, version, error.message)

    async def _name_first_versions(self) -> None:
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
