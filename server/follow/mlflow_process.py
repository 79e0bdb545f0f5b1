"""The process that talks to MLflow, seen from an event loop: asked from a thread, started anew."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.files.decoding import ContentError, pack, unpack
from penstock.server.isolation.child_process import ChildEnded, ChildProcess
from penstock.server.isolation.environment import model_environment
from penstock.server.registry.mlflow_version import MlflowVersion

from .mlflow_child import ANSWER, CONFIG, LOOK, POINT, PUBLISH
from .mlflow_registry import MlflowFailed

if TYPE_CHECKING:
    from penstock.server.config.config import ServerConfig
    from penstock.server.config.follow_options import MlflowOptions

_TARGET: Final = "penstock.server.follow.mlflow_child:serve"
#: A look or a move of an alias, the first start of the library included; and a download.
_SHORT_SECONDS: Final = 60.0
_LONG_SECONDS: Final = 1800.0
_SEND_SECONDS: Final = 10.0


class MlflowProcess:
    """One process for all aliases; it is started when it is needed first.

    Args:
        config: Configuration of the server.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        # The kernel ends a child with the thread that made it: this one stays.
        self._executor = ThreadPoolExecutor(1, "penstock-mlflow")
        self._child: ChildProcess | None = None

    async def look(self, alias: MlflowOptions) -> MlflowVersion | None:
        """The version that an alias points at; ``None`` if at none.

        Raises:
            MlflowFailed: It cannot be known.
        """
        found = await self._ask(LOOK, _place(alias), _SHORT_SECONDS)
        version, created = str(found["version"]), str(found["created"])
        return MlflowVersion(alias.model, version, created) if version else None

    async def publish(
        self, alias: MlflowOptions, version: MlflowVersion, now: str
    ) -> dict[str, Any]:
        """Publish a version here; gives its number here, its digest, its run, and if it is new.

        Raises:
            MlflowFailed: It cannot be fetched, or must not be served.
        """
        asked = {**_place(alias), **_told(version), "served_as": alias.name, "now": now}
        return await self._ask(PUBLISH, asked, _LONG_SECONDS)

    async def point(self, alias: MlflowOptions, version: MlflowVersion) -> None:
        """Point an alias at a version.

        Raises:
            MlflowFailed: It cannot be moved.
        """
        await self._ask(POINT, {**_place(alias), **_told(version)}, _SHORT_SECONDS)

    def close(self) -> None:
        """End the process."""
        child = self._child
        if child is not None:
            child.kill()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, kind: int, asked: dict[str, Any], seconds: float) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._call, kind, asked, seconds)

    def _call(self, kind: int, asked: dict[str, Any], seconds: float) -> dict[str, Any]:
        try:
            child = self._child or self._start()
            child.send(kind, pack(asked), _SEND_SECONDS)
            told, content = child.receive(seconds)
        except (ChildEnded, OSError) as end:
            self._end()
            raise MlflowFailed(f"the process that talks to MLflow {end}") from None
        if told != ANSWER:
            raise MlflowFailed(content.decode(errors="replace"))
        try:
            return unpack(dict[str, Any], content, "the answer")
        except ContentError as error:
            self._end()
            raise MlflowFailed(str(error)) from None

    def _start(self) -> ChildProcess:
        with Path(os.devnull).open("wb") as nothing:
            child = ChildProcess(_TARGET, environ=model_environment(1), output=nothing.fileno())
        self._child = child
        child.send(CONFIG, self._config.to_json().encode(), _SEND_SECONDS)
        return child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.close()


def _place(alias: MlflowOptions) -> dict[str, Any]:
    return {"uri": alias.uri, "model": alias.model, "alias": alias.alias}


def _told(version: MlflowVersion) -> dict[str, Any]:
    return {"version": version.version, "created": version.created}
