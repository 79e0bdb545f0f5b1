"""The process that talks to MLflow: it looks at an alias, publishes its version, sets it back.

MLflow's client runs here and not in control: it may wait for a network for long, and a version is
loaded once before it is published.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from penstock.batching.contained import text_of
from penstock.monitoring.files.decoding import pack, unpack
from penstock.server.config.config import ServerConfig
from penstock.server.loading.publish_check import inspection_limits, signature_of
from penstock.server.registry.mlflow_version import MlflowVersion
from penstock.server.registry.publish import publish
from penstock.server.registry.publish_source import find_source
from penstock.server.store.store_place import open_place

from .mlflow_push import MlflowPush
from .mlflow_registry import MlflowRegistry, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from penstock.server.isolation.link import Link
    from penstock.server.registry.publish import Details, Published

#: Kinds of messages: the configuration first; then questions, each with its answer or an error.
CONFIG: Final = 1
LOOK: Final = 2
PUBLISH: Final = 3
POINT: Final = 4
ANSWER: Final = 5
ERROR: Final = 6


def serve(link: Link) -> None:
    """Answer until the connection ends."""
    config = ServerConfig.from_json(link.expect()[1].decode())
    while True:
        kind, content = link.expect()
        asked = unpack(dict[str, Any], content, "a question")
        try:
            answer = _publish(config, asked) if kind == PUBLISH else _SHORT[kind](asked)
        except Exception as error:  # noqa: BLE001  of a library, a network or a model
            link.send(ERROR, one_line(text_of(error)).encode(errors="replace"))
        else:
            link.send(ANSWER, pack(answer))


def _look(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The version that the alias points at; empty if at none."""
    found = MlflowRegistry(asked["uri"]).look(asked["model"], asked["alias"])
    return {"version": "", "created": ""} if found is None else _told(found)


def _point(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Point the alias at a version."""
    MlflowRegistry(asked["uri"]).point(asked["model"], asked["alias"], asked["version"])
    return {}


#: What is quick.
_SHORT: Final = {LOOK: _look, POINT: _point}


def _told(version: MlflowVersion) -> dict[str, Any]:
    return {"version": version.version, "created": version.created}


def _publish(config: ServerConfig, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Publish a version with all that MLflow knows of it."""
    version = MlflowVersion(asked["model"], asked["version"], asked["created"])
    name = asked["served_as"]
    with open_place(config.registry, config.store, name) as place:
        send = partial(publish_directory, replace(config, registry=place.registry), name)
        push = MlflowPush(MlflowRegistry(asked["uri"]), place, name, send)
        published = place.finish(push.run(version, None, asked["now"]), None, lambda _: None)
    manifest = published.manifest
    return {
        "version": manifest.version,
        "digest": manifest.digest,
        "run": manifest.run.run_id,
        "new": published.new,
    }


def publish_directory(
    config: ServerConfig, name: str, directory: Path, details: Details
) -> Published:
    """Load the model of a directory as the server would, and publish it.

    Args:
        config: Of the server; its registry is where the model is published.
        name: Name of the model.
        directory: An MLflow model directory.
        details: What is said of it.

    Raises:
        ModelLoadError: It must not be served.
        ApiError: It cannot be published.
        OSError: The disk.
    """
    return publish(
        config.registry,
        name,
        find_source(directory),
        details,
        check=partial(signature_of, config, name),
        limits=inspection_limits(config),
    )
