"""The parts of control that follow a registry in an object store."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.server.config.store_url import parse_store_url
from penstock.server.control.coordination.store_follower import StoreFollower
from penstock.server.processes.restart import EXIT_CONFIG

from .admin_setup import STARTED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from penstock.server.config.config import ServerConfig
    from penstock.server.control.api.app import AdminApp
    from penstock.server.control.coordination.coordinator import Coordinator
    from penstock.server.processes.run_directory import RunDirectory
    from penstock.server.registry.remote_files import RemoteFiles

    Work = Callable[[], Coroutine[Any, Any, None]]

LOG = logging.getLogger("penstock.control")

#: Files that are fetched and not taken yet; hidden in the registry's directory.
_AREA: Final = ".fetched"


class FollowedStore:
    """A store that is followed, and its files.

    Args:
        config: Of a server whose registry is in a store.

    Attributes:
        files: Fetches files of versions.
        follower: Keeps the directory of the registry in step.

    Raises:
        StoreError: The environment names no account.
        OSError: The directory cannot be made.
    """

    def __init__(self, config: ServerConfig) -> None:
        from penstock.server.store.fetcher import Fetcher
        from penstock.server.store.object_store import open_store
        from penstock.server.store.replica import Replica

        url = parse_store_url(config.store)
        store = open_store(url)
        replica = Replica(store, config.registry)
        self._fetcher = Fetcher(store, config.registry / _AREA)
        self.files: RemoteFiles = self._fetcher
        self.follower = StoreFollower(replica, config.store, config.store_poll_seconds)

    def attach(self, coordinator: Coordinator) -> None:
        """Make the coordinator look when something is new."""
        loop = asyncio.get_running_loop()
        self.follower.on_change = coordinator.look_soon
        coordinator.ask_store = self.follower.poll

        def ready() -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(coordinator.look_soon)

        self._fetcher.on_ready = ready

    async def follow(self) -> None:
        """Follow the store until cancelled, which ends all fetches, too."""
        try:
            await self.follower.run()
        except asyncio.CancelledError:
            self._fetcher.close()
            raise

    async def run_when_known(self, coordinator: Coordinator) -> None:
        """Follow the registry's directory as soon as it shows the registry."""
        await self.follower.known.wait()
        await coordinator.run()


async def followed_store(config: ServerConfig, directory: RunDirectory) -> FollowedStore | None:
    """The store of the registry, which was read if nothing was known of it; ``None`` without one.

    Args:
        config: Configuration of the server.
        directory: The run directory, which says whether this is the first start of control.

    Raises:
        SystemExit: At the first start, the store refuses, and somebody has to change something.
    """
    if not config.store:
        return None
    try:
        followed = FollowedStore(config)
    except OSError as error:
        LOG.error("%s", error)  # noqa: TRY400  one line says it
        raise SystemExit(EXIT_CONFIG) from None
    if not followed.follower.known.is_set():
        problem = await followed.follower.poll()
        if getattr(problem, "lasting", False) and not (directory.pulses / STARTED).exists():
            raise SystemExit(EXIT_CONFIG)
    return followed


def registry_works(
    coordinator: Coordinator, followed: FollowedStore | None, app: AdminApp
) -> dict[str, Work]:
    """The tasks that follow the registry, and the store that it is in.

    Args:
        coordinator: Looks when something is new.
        followed: The store; ``None`` without one.
        app: Shows what is wrong with it.
    """
    name = "following registry and workers"
    if followed is None:
        return {name: coordinator.run}
    followed.attach(coordinator)
    app.status.problems.append(followed.follower.problems)
    return {
        "following the store": followed.follow,
        name: partial(followed.run_when_known, coordinator),
    }
