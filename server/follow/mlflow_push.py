"""Publishes a version of MLflow: for the follower of an alias, and for ``penstock push``."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from penstock.monitoring.files.config_file import read_bounded
from penstock.runtimes.contract import ModelLoadError
from penstock.server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.server.registry.mlflow_version import MlflowVersion
    from penstock.server.registry.publish import Details, Published
    from penstock.server.registry.publish_place import PublishPlace

    from .mlflow_registry import MlflowRegistry

    #: Checks the model of a directory, and publishes it in the registry of the place.
    Send = Callable[[Path, Details], Published]
    #: Adds to what MLflow knows of a version.
    Amend = Callable[[Details], Details]

_EXAMPLE_FILE: Final = "serving_input_example.json"
_MAX_EXAMPLE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class MlflowPush:
    """One push.

    Attributes:
        source: Where the version comes from.
        place: Where it is published.
        model: Name that it is published under.
        send: Checks it, and publishes it in the registry of the place.
        amend: Adds to what MLflow knows of it.
        loaded: Whether `send` loads the model. Without that nobody knows whether it takes the input
            example, which is left out then.
    """

    source: MlflowRegistry
    place: PublishPlace
    model: str
    send: Send
    amend: Amend = lambda details: details
    loaded: bool = True

    def run(self, version: MlflowVersion, wanted: int | None, now: str) -> Published:
        """Publish a version in the registry of the place, unless it is published already.

        Args:
            version: The version.
            wanted: Its number here; the next free one if ``None``.
            now: RFC 3339.

        Raises:
            MlflowFailed: It cannot be fetched.
            ModelLoadError: It must not be served.
            ApiError: It cannot be published.
            OSError: The disk, or the store.
        """
        before = self.place.find(self.model, version, wanted)
        if before is not None:
            return before
        with TemporaryDirectory(prefix="penstock-mlflow-") as directory:
            fetched = self.source.fetch(version, Path(directory), now)
            details = self.amend(replace(fetched.details, version=wanted))
            if self.loaded:
                return with_example(self.send, fetched.directory, details)
            return self.send(fetched.directory, details)


def with_example(send: Send, directory: Path, details: Details) -> Published:
    """Publish an MLflow model directory; an input example that it takes is a golden request.

    Raises:
        ModelLoadError: It must not be served.
        ApiError: It cannot be published.
        OSError: The disk.
    """
    example = None if details.examples is not None else _example_of(directory)
    if example is not None:
        try:
            return send(directory, replace(details, examples=example))
        except (ModelLoadError, ApiError):
            pass  # it may be the example's fault; the next line says what is the model's
    return send(directory, details)


def _example_of(directory: Path) -> Path | None:
    """The rows of the input example as a file of golden requests; ``None`` if there is none."""
    try:
        content = json.loads(read_bounded(directory / _EXAMPLE_FILE, _MAX_EXAMPLE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    split = content.get("dataframe_split")
    rows = split.get("data") if isinstance(split, dict) else content.get("inputs")
    if not isinstance(rows, list) or not rows:
        return None
    path = directory / "penstock-examples.json"
    path.write_text(json.dumps(rows))
    return path
