"""``penstock push models:/NAME@ALIAS``: a version of MLflow, fetched and published by hand."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from .command_failed import CommandFailed
from .exits import Exit
from .registry_config import own_registry

if TYPE_CHECKING:
    from penstock.server.follow.mlflow_push import Send
    from penstock.server.registry.publish import Details, Published
    from penstock.server.registry.publish_place import PublishPlace

_SCHEME: Final = "models:"
_ADDRESS: Final = re.compile(r"models:/(?P<name>[^/@:]+)(?:@(?P<alias>[\w.-]+)|/(?P<number>\d+))")
_EXPECTED: Final = "REGISTRY MODEL FILE, or REGISTRY models:/NAME@ALIAS"


@dataclass(frozen=True, slots=True)
class FileSource:
    """What is pushed, and where to.

    Attributes:
        registry: The path or URL of the registry.
        model: Name that the version is published under.
        file: Path of the model.
    """

    registry: str
    model: str
    file: str


@dataclass(frozen=True, slots=True)
class MlflowSource:
    """A version of MLflow that is pushed, and where to.

    Attributes:
        registry: The path or URL of the registry.
        model: Name that the version is published under.
        tracking_uri: Address of the tracking server.
        name: Name of the registered model.
        alias: The alias that points at the version; empty if it is named by its number.
        number: The number of the version; empty if it is named by an alias.
    """

    registry: str
    model: str
    tracking_uri: str
    name: str
    alias: str
    number: str


def push_source(
    registry: str,
    model: str | None,
    source: str | None,
    tracking_uri: str,
    *,
    adopt: bool = False,
) -> FileSource | MlflowSource:
    """What the arguments of ``penstock push`` mean.

    An address of MLflow may be the last of one, two or three arguments: the model has the name of
    the registered one if no other is given, the registry that of the configuration.

    Raises:
        CommandFailed: They mean nothing, or the tracking server is not known.
    """
    if adopt:
        if model is None or source is not None:
            raise CommandFailed("expected REGISTRY MODEL --adopt --number N, no FILE", Exit.USAGE)
        return FileSource(registry, model, "")
    *before, last = [one for one in (registry, model, source) if one is not None]
    if not last.startswith(_SCHEME):
        if model is None or source is None:
            raise CommandFailed(f"expected {_EXPECTED}", Exit.USAGE)
        return FileSource(registry, model, source)
    match = _ADDRESS.fullmatch(last)
    if match is None:
        raise CommandFailed(
            f"{last}: expected models:/NAME@ALIAS or models:/NAME/VERSION, where VERSION is a "
            "number",
            Exit.USAGE,
        )
    if not tracking_uri:
        raise CommandFailed(
            f"{last}: where is MLflow? Give --tracking-uri, or MLFLOW_TRACKING_URI in the "
            "environment",
            Exit.USAGE,
        )
    if "@" in tracking_uri:
        raise CommandFailed(
            "--tracking-uri has credentials; give them in the environment: "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
            Exit.USAGE,
        )
    place = before[0] if before else own_registry()
    called = before[1] if len(before) > 1 else match["name"]
    return MlflowSource(
        place, called, tracking_uri, match["name"], match["alias"] or "", match["number"] or ""
    )


def push_mlflow(
    source: MlflowSource, place: PublishPlace, send: Send, details: Details, *, loaded: bool
) -> Published:
    """Fetch a version of MLflow, and publish it in the registry of a place.

    Args:
        source: The version.
        place: Where it is published in the end.
        send: Checks a model, and publishes it in the registry of the place.
        details: What the options say; they come before what MLflow says.
        loaded: Whether `send` loads it.

    Raises:
        CommandFailed: MLflow does not give it.
        ModelLoadError: It must not be served.
        ApiError: It cannot be published.
        OSError: The disk, or the store.
    """
    from penstock.server.follow.mlflow_push import MlflowPush
    from penstock.server.follow.mlflow_registry import MlflowFailed, MlflowRegistry

    def amend(known: Details) -> Details:
        run = replace(
            known.run,
            run_id=details.run.run_id or known.run.run_id,
            commit=details.run.commit or known.run.commit,
            params={**known.run.params, **details.run.params},
        )
        return replace(
            details,
            run=run,
            data_hash=details.data_hash or known.data_hash,
            metrics={**known.metrics, **details.metrics},
            metadata={**known.metadata, **details.metadata},
            card={**known.card, **details.card},
        )

    try:
        registry = MlflowRegistry(source.tracking_uri)
        if source.alias:
            version = registry.look(source.name, source.alias)
        else:
            version = registry.numbered(source.name, source.number)
        if version is None:
            raise CommandFailed(
                f"{source.tracking_uri}: there is no registered model {source.name!r} with an "
                f"alias {source.alias!r}"
            )
        push = MlflowPush(registry, place, source.model, send, amend, loaded)
        return push.run(version, details.version, details.created_at)
    except MlflowFailed as error:
        raise CommandFailed(str(error)) from None
