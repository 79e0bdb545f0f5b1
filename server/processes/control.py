"""The control process: registry to target, link to the workers, admin port. Loads no model.

Run by the supervisor; when it dies, predictions go on, and its next life goes on from the disk.
"""

from __future__ import annotations

import logging
from typing import Final

import uvicorn

from penstock.monitoring.metrics import CounterFile
from penstock.server.options import ConfigError

from .admin import AdminApp
from .child import Birth, run
from .exposition import Exposition
from .fleet import Fleet
from .planner import Planner
from .quiet_server import QuietServer

LOG = logging.getLogger("penstock.control")

#: Longer than `penstock.server.processes.link.MAX_RETRY_SECONDS` takes to come round.
REUNION_SECONDS: Final = 1.2


async def control(birth: Birth) -> None:
    """Serve the admin port until told to stop."""
    counters = CounterFile.create(birth.directory.counters, birth.name)
    exposition = Exposition(birth.directory.counters)
    # The drift monitor will take the samples; until then the workers' counters tell their number.
    fleet = Fleet(exposition.render, on_samples=len, expected=birth.config.workers)
    planner = Planner(birth.config.registry, birth.directory.target)
    try:
        planner.rescan()
    except ConfigError as error:
        LOG.warning("%s; going on with what was served before", error)
    fleet.send_target(planner.target)
    await fleet.listen(birth.directory.control_socket)
    # Workers that outlived our predecessor are back in a moment; until then nobody is told that
    # the server is not ready. Connections to the admin port wait in the backlog meanwhile.
    await fleet.wait_converged(REUNION_SECONDS)
    app = AdminApp(birth.config, planner, fleet, exposition).app
    server = QuietServer(
        uvicorn.Config(app, log_config=None, access_log=False, ws="none", lifespan="off"),
        counters.set_loop_lag,
    )
    birth.watch_parent(server.stop)
    LOG.info("target %d: %d models", planner.target.number, len(planner.target.models))
    await server.serve(sockets=[birth.listener])
    fleet.close()
    counters.close()


if __name__ == "__main__":
    run(control)
