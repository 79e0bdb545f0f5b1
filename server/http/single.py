"""The whole server in one process, as an ASGI app."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from penstock.monitoring.distribution import foreign_package, server_version
from penstock.monitoring.metrics.collector import PenstockCollector, exposition
from penstock.monitoring.metrics.merge import snapshot
from penstock.monitoring.metrics.metrics import CounterFile
from penstock.monitoring.metrics.triton_collector import TritonCollector
from penstock.runtimes.telemetry import switch_off
from penstock.server.config.config import load_config
from penstock.server.config.hosts import ANY
from penstock.server.ports.shared import KEPT_SECONDS, RENDERING_SHARE, SharedAnswers

from .app import App

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    from prometheus_client.registry import Collector

LOG = logging.getLogger("penstock.app")


def create_app(registry: Path | str, **options: Any) -> App:
    """An ASGI app that serves a model repository, for tests, other ASGI servers, and mounting.

    Its models are loaded with its lifespan, or with its first request where nobody runs that, as in
    an app that it is mounted in. With uvicorn, ``http=FastPathProtocol`` takes predictions past
    ASGI; that takes the lifespan::

        app = create_app("models")
        uvicorn.run(app, http=FastPathProtocol)

        outer = FastAPI()
        outer.mount("/ml", create_app("models"))

    It takes requests for any host, because it does not know where it listens, unless
    ``allowed_hosts`` names some.

    Args:
        registry: Directory of ``<model>/<version>/model.onnx``.
        options: Fields of `penstock.server.config.config.ServerConfig`.

    Raises:
        ConfigError: An option is unknown or has a bad value.
    """
    switch_off()
    if foreign := foreign_package():
        LOG.warning("%s", foreign)
    # Without a monitor process there is nobody who would take samples.
    embedded = {"registry": str(registry), "sample_rate": 0.0, "allowed_hosts": ANY}
    config = load_config({**embedded, **options}, {})
    counters = CounterFile.anonymous()
    figures = partial(snapshot, counters)
    collectors: list[Collector] = [PenstockCollector(figures, server_version())]
    if config.metrics_compat == "triton":
        collectors.append(TritonCollector(figures))

    async def make(accept: Hashable) -> tuple[bytes, bytes]:
        return await asyncio.to_thread(exposition, collectors, cast("str", accept))

    answers = SharedAnswers(make, KEPT_SECONDS, RENDERING_SHARE)
    return App(config, counters, answers.get, figures, autoload=True)
