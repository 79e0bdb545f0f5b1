"""The whole server in one process, as an ASGI app."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.monitoring.collector import PenstockCollector, exposition
from penstock.monitoring.distribution import server_version
from penstock.monitoring.merge import snapshot
from penstock.monitoring.metrics import CounterFile
from penstock.runtimes.telemetry import switch_off

from .config import load_config
from .http.app import App

if TYPE_CHECKING:
    from pathlib import Path


def create_app(registry: Path | str, **options: Any) -> App:
    """An ASGI app that serves a model repository, for tests, other ASGI servers, and mounting.

    It needs its lifespan run. With uvicorn, ``http=FastPathProtocol`` takes predictions past ASGI::

        app = create_app("models")
        uvicorn.run(app, http=FastPathProtocol)

    Args:
        registry: Directory of ``<model>/<version>/model.onnx``.
        options: Fields of `penstock.server.config.ServerConfig`.

    Raises:
        ConfigError: An option is unknown or has a bad value.
    """
    switch_off()
    # Without a monitor process there is nobody who would take samples.
    config = load_config({"registry": str(registry), "sample_rate": 0.0, **options}, {})
    counters = CounterFile.anonymous()
    collector = PenstockCollector(partial(snapshot, counters), server_version())

    async def metrics(accept: str) -> tuple[bytes, bytes]:
        return exposition([collector], accept)

    return App(config, counters, metrics, autoload=True)
