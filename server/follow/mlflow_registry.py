"""A model registry of MLflow, asked by MLflow's own client.

The client reads credentials from the environment and knows all artifact stores. Everything here
waits for a network.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from penstock.batching.contained import text_of
from penstock.monitoring.distribution import install_command
from penstock.server.registry.manifest import Run
from penstock.server.registry.mlflow_version import MlflowVersion
from penstock.server.registry.publish import Details

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_COMMIT_TAG: Final = "mlflow.source.git.commit"
_MOST_PAIRS: Final = 1000
_MOST_CHARACTERS: Final = 1000
#: Users, passwords, queries and fragments of addresses in the texts of libraries: a signed address
#: is as good as a password.
_USER: Final = re.compile(r"(?<=://)[^/@\s'\"]+@")
_QUERY: Final = re.compile(r"(\w+://[^\s?#'\"]+)[?#][^\s'\"]*")
#: What the client is told unless the user has told it: who asks tries again, and no bar is shown.
_SETTINGS: Final = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": 1,
    "MLFLOW_HTTP_REQUEST_TIMEOUT": 20,
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": False,
}


class MlflowFailed(Exception):
    """MLflow, the network or the model says no; the message says why, in one line, no secret."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A version of MLflow on this machine.

    Attributes:
        directory: An MLflow model directory.
        details: What MLflow knows of it.
    """

    directory: Path
    details: Details


class MlflowRegistry:
    """One model registry. Blocking.

    Args:
        uri: Address of its tracking server, without credentials.

    Raises:
        MlflowFailed: The client is not installed.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        with _told(uri):
            self._mlflow = _library()
            self._mlflow.set_tracking_uri(uri)
            self._mlflow.set_registry_uri(uri)
            self._client = self._mlflow.MlflowClient(uri, uri)

    def look(self, model: str, alias: str) -> MlflowVersion | None:
        """The version that an alias points at; ``None`` if at none.

        Raises:
            MlflowFailed: It cannot be known.
        """
        with _told(self._uri):
            try:
                found = self._client.get_model_version_by_alias(model, alias)
            except self._mlflow.exceptions.RestException as error:
                # The server says so of an alias that is not there, and of a model that is not.
                if "alias" in str(error) and error.error_code in {
                    "INVALID_PARAMETER_VALUE",
                    "RESOURCE_DOES_NOT_EXIST",
                }:
                    return None
                raise
        return _named(found)

    def numbered(self, model: str, number: str) -> MlflowVersion:
        """The version with a number.

        Raises:
            MlflowFailed: It is not there, or cannot be known.
        """
        with _told(self._uri):
            return _named(self._client.get_model_version(model, number))

    def point(self, model: str, alias: str, number: str) -> None:
        """Point an alias at the version with a number.

        Raises:
            MlflowFailed: It cannot be moved.
        """
        with _told(self._uri):
            self._client.set_registered_model_alias(model, alias, number)

    def fetch(self, version: MlflowVersion, place: Path, now: str) -> Fetched:
        """Download a version, with all that is known of it.

        Args:
            version: The version.
            place: An empty directory that takes its files.
            now: RFC 3339.

        Raises:
            MlflowFailed: It cannot be fetched, or is another one by now.
        """
        with _told(self._uri):
            found = self._client.get_model_version(version.model, version.version)
            if _named(found) != version:
                raise MlflowFailed(f"{version.uri} was deleted, and made again")
            run = self._client.get_run(found.run_id) if found.run_id else None
            download = self._mlflow.artifacts.download_artifacts
            directory = Path(download(artifact_uri=version.uri, dst_path=str(place)))
            return Fetched(directory, details_of(found, run, now))


def details_of(version: Any, run: Any, now: str) -> Details:
    """What MLflow knows of a version, as a manifest has it.

    Args:
        version: A ``ModelVersion`` of MLflow.
        run: The ``Run`` that made it; ``None`` if it is not known.
        now: RFC 3339.
    """
    metadata = _named(version).metadata
    card = {key: str(one) for key, one in _some(version.tags).items()}
    if version.description:
        card.setdefault("description", str(version.description))
    if run is None:
        return Details(now, metadata=metadata, card=card, pushed_by=str(version.user_id or ""))
    tags = _some(run.data.tags)
    datasets = list(getattr(run.inputs, "dataset_inputs", ()) or ())
    return Details(
        created_at=now,
        run=Run(
            str(run.info.run_id),
            str(tags.get(_COMMIT_TAG, "")),
            {key: str(one) for key, one in _some(run.data.params).items()},
        ),
        data_hash=str(datasets[0].dataset.digest) if datasets else "",
        metrics={key: float(one) for key, one in _some(run.data.metrics).items()},
        metadata=metadata,
        card=card,
        pushed_by=str(version.user_id or run.info.user_id or ""),
    )


def one_line(text: str) -> str:
    """The text of a library in one line, without what could be a secret in its addresses."""
    text = _QUERY.sub(r"\1", _USER.sub("", text))
    return " ".join(text.split())[:_MOST_CHARACTERS]


def _named(version: Any) -> MlflowVersion:
    return MlflowVersion(
        str(version.name), str(version.version), str(version.creation_timestamp or 0)
    )


def _some(table: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(list((table or {}).items())[:_MOST_PAIRS])


@contextmanager
def _told(uri: str) -> Iterator[None]:
    """What the client raises, whatever it is, as `MlflowFailed`."""
    try:
        yield
    except MlflowFailed:
        raise
    except ImportError as error:
        raise MlflowFailed(one_line(f"{error}; {install_command('mlflow')}")) from None
    except Exception as error:  # noqa: BLE001  of a library or a network
        raise MlflowFailed(one_line(f"{uri}: {text_of(error)}")) from None


def _library() -> Any:
    """MLflow's own client, of an extra.

    Raises:
        ImportError: It is not installed.
    """
    settings = import_module("mlflow.environment_variables")
    for name, value in _SETTINGS.items():
        variable = getattr(settings, name)
        if not variable.is_set():
            variable.set(value)
    return import_module("mlflow")
