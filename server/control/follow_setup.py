"""Builds what follows the registries of other tools."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.server.control.api.command import Command
from penstock.server.control.api.mlflow_api import MlflowApi
from penstock.server.control.api.mlflow_metrics import MlflowMetrics
from penstock.server.control.coordination.alias_follower import ACTOR, AliasFollower
from penstock.server.follow.mlflow_process import MlflowProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from penstock.server.config.config import ServerConfig
    from penstock.server.control.api.app import AdminApp
    from penstock.server.control.api.operations import Operations
    from penstock.server.control.coordination.coordinator import Coordinator


class Following:
    """All followed aliases of the control process.

    Args:
        config: Configuration of the server.
        coordinator: Knows the versions here.
        operations: Makes versions stable.
        now: The time in a time zone.

    Attributes:
        metrics: What `/metrics` says of it.
    """

    def __init__(
        self,
        config: ServerConfig,
        coordinator: Coordinator,
        operations: Operations,
        now: Callable[[tzinfo], datetime] = datetime.now,
    ) -> None:
        self._mlflow = MlflowProcess(config)

        async def promote(model: str, version: int, reason: str) -> None:
            await operations.promote(Command("promote", model, ACTOR, reason), version)

        self._followers = {
            alias.name: AliasFollower(
                alias, self._mlflow, coordinator, promote, partial(now, UTC), config
            )
            for alias in config.follow.aliases
        }
        self._api = MlflowApi(self._followers)
        self.metrics = MlflowMetrics(self._followers, self._api.deliveries)

    async def run(self) -> None:
        """Follow all aliases until cancelled."""
        try:
            async with asyncio.TaskGroup() as all_of_them:
                for one in self._followers.values():
                    all_of_them.create_task(one.run())
                await asyncio.Event().wait()  # also where nothing is followed
        finally:
            self._mlflow.close()

    def problems(self) -> list[dict[str, str]]:
        """The aliases that cannot be followed now, for the status."""
        return [
            {
                "path": f"follow.mlflow {name}",
                "reason": f"since {one.since}: {one.problem}; version that serves goes on",
            }
            for name, one in self._followers.items()
            if one.problem
        ]

    def attach(self, app: AdminApp) -> None:
        """Have the app run this, and tell of its problems."""
        app.status.problems.append(self.problems)
        app.works["following aliases"] = self.run

    def handlers(self) -> dict[Any, Any]:
        """The endpoint of webhooks, with its handler."""
        return self._api.handlers()
