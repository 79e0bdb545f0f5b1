"""Does what ``on_push`` says with new versions: names the first one stable, begins canaries."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from penstock.server.config.version_policy import SERVE
from penstock.server.errors import ApiError, Unavailable

from .first_version import naming, unnamed, untried

if TYPE_CHECKING:
    from .coordinator import Coordinator

LOG = logging.getLogger("penstock.rollout")

#: A canary that cannot begin, as while an alarm forbids it, is tried again: the pause doubles.
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE: Final = 300.0


class Begin(Protocol):
    """Begins the canary of a version, with the terms of ``model.toml``.

    Raises:
        ApiError: It cannot begin now.
    """

    async def __call__(self, model: str, version: int, /) -> object:
        """See the class."""


async def _no_canary(model: str, version: int, /) -> None:
    raise Unavailable(f"canaries of {model} {version} cannot begin yet")


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a canary could not begin, and when it is tried again, in seconds of the loop's clock."""

    version: int
    reason: str
    pause: float
    due: float


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
        self._refusals: dict[str, _Refusal] = {}
        coordinator.on_reports = self._reported.set

    async def run(self) -> None:
        """Name versions and begin canaries until cancelled; reports go on meanwhile."""
        while True:
            due = min((one.due for one in self._refusals.values()), default=None)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._reported.wait()
            self._reported.clear()
            found = await self._untried()
            self._refusals = {
                model: one
                for model, one in self._refusals.items()
                if found.get(model) == one.version
            }
            for model, version in found.items():
                await self._try(model, version)

    async def _untried(self) -> dict[str, int]:
        """The versions whose canary is to begin; first versions are named before."""
        coordinator = self._coordinator
        plans = coordinator.planner.target.models
        if all((one.config.on_push or self._on_push) == SERVE for one in plans.values()):
            return {}
        await self._name_first_versions()
        state, standings = coordinator.store.state, coordinator.standings()
        return untried(plans, state, standings, self._on_push)

    async def _try(self, model: str, version: int) -> None:
        now, before = asyncio.get_running_loop().time(), self._refusals.get(model)
        if before is not None and now < before.due:
            return
        try:
            await self.begin(model, version)
        except ApiError as error:
            pause = (
                _FIRST_PAUSE_SECONDS if before is None else min(2 * before.pause, _LONGEST_PAUSE)
            )
            self._refusals[model] = _Refusal(version, error.message, pause, now + pause)
            if before is None or before.reason != error.message:
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
