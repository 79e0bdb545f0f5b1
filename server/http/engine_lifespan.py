"""The lifespan of an app's engine: its start and its end."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from penstock.server.desired_state.state import DesiredState
from penstock.server.pipelines.pin_reader import pins_of
from penstock.server.registry.survey import scan
from penstock.server.target.plan import Outlook, aspire

from .engine import Engine

if TYPE_CHECKING:
    from penstock.monitoring.metrics.metrics import CounterFile
    from penstock.server.config.config import ServerConfig
    from penstock.server.errors.incidents import Incidents
    from penstock.server.pipelines.pins import Pin
    from penstock.server.processes.deaths import DeathList
    from penstock.server.processes.pulse import Pulse
    from penstock.server.registry.repository import RegistrySnapshot

LOG = logging.getLogger("penstock.http")


class EngineLifespan:
    """Starts an engine with the ASGI lifespan, or with the first request if there is no lifespan.

    An app that is mounted in another one gets no lifespan: frameworks run that of the outer app
    only. The first request then waits until the models are loaded. An engine belongs to the event
    loop that it was started on; when that loop is closed, the next request starts another engine.

    Args:
        config: Configuration of the server.
        counters: Counters of this process.
        incidents: Gets the errors that have no caller.
        pulse: Holds the loads and runs in progress.
        deaths: Lists the deaths of the processes of isolated versions.
        autoload: Serve the whole registry from the start.

    Attributes:
        engine: The engine; there is none before `start`.
    """

    engine: Engine

    def __init__(
        self,
        config: ServerConfig,
        counters: CounterFile,
        incidents: Incidents,
        pulse: Pulse | None = None,
        deaths: DeathList | None = None,
        *,
        autoload: bool,
    ) -> None:
        self._pulse = pulse
        self._deaths = deaths
        self._config = config
        self._counters = counters
        self._incidents = incidents
        self._autoload = autoload
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting: asyncio.Task[None] | None = None

    async def running(self) -> Engine:
        """The engine of this event loop, started if need be.

        Raises:
            RuntimeError: Another event loop that still runs has it.
        """
        loop = asyncio.get_running_loop()
        if self._loop is loop and self._starting is None:
            return self.engine
        if self._loop is not None and self._loop is not loop:
            if not self._loop.is_closed():
                raise RuntimeError(
                    "this app serves on another event loop; make an app for each with create_app"
                )
            self.engine.abandon()
            self._starting = None
        if self._starting is None:
            self._loop = loop
            self._starting = loop.create_task(self.start())
        await asyncio.shield(self._starting)
        return self.engine

    async def start(self) -> None:
        """Make the engine on the running loop, and load the models."""
        self._loop = asyncio.get_running_loop()
        try:
            engine = Engine(
                self._config, self._counters, self._incidents, self._pulse, self._deaths
            )
            if self._autoload:
                snapshot = scan(self._config.registry, self._config.link_roots())
                for problem in snapshot.problems:
                    LOG.warning("%s: %s", problem.path, problem.reason)
                outlook = Outlook(pins=_pins(snapshot))
                await engine.host.apply(aspire(snapshot.models, DesiredState(), outlook))
            self.engine = engine
        except BaseException:
            self._loop = None
            raise
        finally:
            self._starting = None

    async def close(self) -> None:
        """Finish the accepted requests, then release everything."""
        await self.engine.close()
        self._loop = None


def _pins(snapshot: RegistrySnapshot) -> dict[str, dict[int, tuple[Pin, ...]]]:
    """The pins of all pipelines in a registry, by model and version."""
    read = {
        name: {
            version: pins
            for version, directory in entry.versions.items()
            if (pins := pins_of(directory, snapshot.roots))
        }
        for name, entry in snapshot.models.items()
    }
    return {name: versions for name, versions in read.items() if versions}
