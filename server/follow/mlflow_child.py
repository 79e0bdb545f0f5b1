"""The process that talks to MLflow: it looks at an alias, publishes its version, sets it back.

MLflow's own client reads addresses and credentials from the environment and knows all artifact
stores. It runs here and not in control: it may wait for a network for long, and a version is loaded
once before it is published.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from penstock.batching.contained import text_of
from penstock.monitoring.files.config_file import read_bounded
from penstock.monitoring.files.decoding import pack, unpack
from penstock.runtimes.contract import ModelLoadError
from penstock.server.config.config import ServerConfig
from penstock.server.errors import ApiError
from penstock.server.loading.publish_check import inspection_limits, signature_of
from penstock.server.registry.manifest import Run
from penstock.server.registry.publish import Details, publish
from penstock.server.registry.publish_source import find_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.server.isolation.link import Link
    from penstock.server.registry.publish import Published

#: Kinds of messages: the configuration first; then questions, each with its answer or an error.
CONFIG: Final = 1
LOOK: Final = 2
PUBLISH: Final = 3
POINT: Final = 4
ANSWER: Final = 5
ERROR: Final = 6
#: Keys of a manifest's metadata that name the version of MLflow.
MODEL_KEY: Final = "mlflow.model"
VERSION_KEY: Final = "mlflow.version"
_COMMIT_TAG: Final = "mlflow.source.git.commit"
_EXAMPLE_FILE: Final = "serving_input_example.json"
_MAX_EXAMPLE_BYTES: Final = 1 << 20
_MOST_PAIRS: Final = 1000
_MOST_CHARACTERS: Final = 1000


def serve(link: Link) -> None:
    """Answer until the connection ends."""
    config = ServerConfig.from_json(link.expect()[1].decode())
    while True:
        kind, content = link.expect()
        asked = unpack(dict[str, Any], content, "a question")
        try:
            answer = _publish(config, asked) if kind == PUBLISH else _SHORT[kind](asked)
        except ImportError as error:
            link.send(ERROR, f"{error}; pip install 'penstock-server[mlflow]'".encode())
        except Exception as error:  # noqa: BLE001  of a library, a network or a model
            link.send(ERROR, text_of(error)[:_MOST_CHARACTERS].encode(errors="replace"))
        else:
            link.send(ANSWER, pack(answer))


def _client(asked: Mapping[str, Any]) -> Any:
    mlflow = _library()
    mlflow.set_tracking_uri(asked["uri"])
    mlflow.set_registry_uri(asked["uri"])
    return mlflow.MlflowClient(asked["uri"], asked["uri"])


def _library() -> Any:
    """MLflow's own client, of an extra.

    Raises:
        ImportError: It is not installed.
    """
    return import_module("mlflow")


def _look(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The version that the alias points at; empty if at none."""
    try:
        found = _client(asked).get_model_version_by_alias(asked["model"], asked["alias"])
    except _library().exceptions.RestException as error:
        # The server says so of an alias that is not there, and of a model that is not.
        if "alias" in str(error) and error.error_code in {
            "INVALID_PARAMETER_VALUE",
            "RESOURCE_DOES_NOT_EXIST",
        }:
            return {"version": ""}
        raise
    return {"version": str(found.version)}


def _point(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Point the alias at a version."""
    _client(asked).set_registered_model_alias(asked["model"], asked["alias"], asked["version"])
    return {"version": asked["version"]}


#: What is quick.
_SHORT: Final = {LOOK: _look, POINT: _point}


def _publish(config: ServerConfig, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Download a version, load it once, and publish it with all that MLflow knows of it."""
    client = _client(asked)
    name, number = asked["model"], asked["version"]
    found = client.get_model_version(name, number)
    run = client.get_run(found.run_id) if found.run_id else None
    details = details_of(found, run, asked["now"])
    with tempfile.TemporaryDirectory(prefix="penstock-mlflow-") as place:
        uri = f"models:/{name}/{number}"
        directory = Path(_library().artifacts.download_artifacts(artifact_uri=uri, dst_path=place))
        published = publish_model(config, asked["served_as"], directory, details)
    manifest = published.manifest
    return {"version": manifest.version, "digest": manifest.digest, "run": manifest.run.run_id}


def publish_model(config: ServerConfig, name: str, directory: Path, details: Details) -> Published:
    """Publish an MLflow model directory; an input example that it takes is a golden request.

    Raises:
        ModelLoadError: It must not be served.
        ApiError: It cannot be published.
        OSError: The disk.
    """
    source = find_source(directory)
    send = partial(
        publish,
        config.registry,
        name,
        source,
        check=partial(signature_of, config, name),
        limits=inspection_limits(config),
    )
    example = _example_of(directory)
    if example is not None:
        try:
            return send(replace(details, examples=example))
        except (ModelLoadError, ApiError):
            pass  # it may be the example's fault; the next line says what is the model's
    return send(details)


def _example_of(directory: Path) -> Path | None:
    """The rows of the input example as a file of golden requests; ``None`` if there is none."""
    try:
        content = json.loads(read_bounded(directory / _EXAMPLE_FILE, _MAX_EXAMPLE_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    split = content.get("dataframe_split") if isinstance(content, dict) else None
    rows = split.get("data") if isinstance(split, dict) else content.get("inputs")
    if not isinstance(rows, list) or not rows:
        return None
    path = directory / "penstock-examples.json"
    path.write_text(json.dumps(rows))
    return path


def details_of(version: Any, run: Any, now: str) -> Details:
    """What MLflow knows of a version, as a manifest has it.

    Args:
        version: A ``ModelVersion`` of MLflow.
        run: The ``Run`` that made it; ``None`` if it is not known.
        now: RFC 3339.
    """
    metadata = {
        MODEL_KEY: str(version.name),
        VERSION_KEY: str(version.version),
        **{f"mlflow.tag.{key}": str(one) for key, one in _some(version.tags).items()},
    }
    if version.description:
        metadata["description"] = str(version.description)
    if run is None:
        return Details(now, metadata=metadata, pushed_by=str(version.user_id or ""))
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
        pushed_by=str(version.user_id or run.info.user_id or ""),
    )


def _some(table: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(list((table or {}).items())[:_MOST_PAIRS])
