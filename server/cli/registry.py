"""``penstock push`` and ``penstock diff``: versions on disk, no server needed."""

from __future__ import annotations

import csv
import math
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from .client import CommandFailed, add_client_options, find_server
from .convert import add_conversion_options, converted
from .push_check import signature_of
from .push_note import aliases_of, traffic_note
from .version_changes import print_changes

if TYPE_CHECKING:
    import argparse

    from penstock.server.registry.manifest import Manifest
    from penstock.server.registry.publish import Details, Published
    from penstock.server.registry.publish_source import PublishSource

_EXIT_FAILURE: Final = 1
_EXIT_USAGE: Final = 2
#: Less than this is copied before a bar could be read.
_BAR_BYTES: Final = 64 << 20


def add_parser(verbs: Any) -> None:
    """Add the verbs."""
    _add_push(verbs)
    parser: argparse.ArgumentParser = verbs.add_parser(
        "diff",
        help="compare two versions of a model",
        description="Compare two versions, in a registry or in that of a running server. Exit "
        "status 1: they differ.",
    )
    parser.add_argument("--registry", type=Path, help="the model repository; else a server's")
    add_client_options(parser)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("before", type=int, metavar="VERSION")
    parser.add_argument("after", type=int, metavar="VERSION")
    parser.set_defaults(run=run_diff)


def _add_push(verbs: Any) -> None:
    parser: argparse.ArgumentParser = verbs.add_parser(
        "push",
        help="publish a version of a model",
        description="Check a model and publish it as a version, which never changes afterwards. "
        "Exit status 1: nothing was published.",
    )
    parser.add_argument("registry", type=Path, metavar="REGISTRY", help="the model repository")
    parser.add_argument("model", metavar="MODEL", help="name of the model")
    parser.add_argument(
        "source",
        type=Path,
        metavar="FILE",
        help="a model file, an MLflow model directory, or a pipeline.toml",
    )
    parser.add_argument(
        "--number", "--version", dest="number", type=int, metavar="N", help="default: the next free"
    )
    parser.add_argument("--run-id", default="", help="of the training run")
    parser.add_argument("--commit", default="", help="of the training code")
    parser.add_argument("--data-hash", default="", help="of the training data")
    for flag, text in (("--metric", "of the evaluation"), ("--param", "of the training run")):
        parser.add_argument(
            flag, action="append", default=[], metavar="NAME=VALUE", help=f"{text}; repeatable"
        )
    parser.add_argument("--examples", type=Path, metavar="FILE", help="golden requests, as JSON")
    parser.add_argument(
        "--columns", type=Path, metavar="FILE", help="names of columns: a JSON list, or a table"
    )
    parser.add_argument(
        "--classes", default="", metavar="NAME,NAME", help="names of classes, in the model's order"
    )
    parser.add_argument(
        "--no-load", action="store_true", help="do not load it here to learn its signature"
    )
    add_conversion_options(parser)
    parser.set_defaults(run=run_push)


def run_push(namespace: argparse.Namespace) -> int:
    """Publish; returns the exit status."""
    from penstock.runtimes.contract import ModelLoadError
    from penstock.server.errors import ApiError

    try:
        published = _push(namespace, _details(namespace))
    except _UsageError as error:
        return _fail(error, _EXIT_USAGE)
    except (ApiError, ModelLoadError, OSError) as error:
        return _fail(error, _EXIT_FAILURE)
    manifest = published.manifest
    print(f"{manifest.model} version {manifest.version}")
    print(f"  digest  {manifest.digest}")
    print(f"  path    {published.directory}")
    if published.same_as is not None:
        print(f"  note    same files as version {published.same_as}")
    if namespace.examples is not None:
        done = "not run (--no-load)" if namespace.no_load else "answered as stored"
        print(f"  golden  {done}")
    print(f"  traffic {traffic_note(namespace.registry, manifest.model, manifest.version)}")
    return 0


def run_diff(namespace: argparse.Namespace) -> int:
    """Print the differences; returns the exit status: 1 if there are any."""
    from penstock.runtimes.contract import ModelLoadError
    from penstock.server.registry.signature_diff import diff

    if namespace.registry is None:
        return _diff_of_server(namespace)
    try:
        before, after = (
            _manifest(namespace.registry / namespace.model / str(version))
            for version in (namespace.before, namespace.after)
        )
    except ModelLoadError as error:
        return _fail(error, _EXIT_USAGE)
    changes = diff(before, after)
    if not changes:
        print("the manifests say the same")
        return 0
    print_changes(changes, str(namespace.before), str(namespace.after))
    return 1


def _diff_of_server(namespace: argparse.Namespace) -> int:
    from penstock.server.registry.signature_diff import Change

    query = f"from={namespace.before}&to={namespace.after}"
    try:
        path = f"/admin/models/{quote(namespace.model, safe='')}/diff?{query}"
        changes = tuple(Change(**one) for one in find_server(namespace).get(path)["changes"])
    except CommandFailed as failure:
        return _fail(failure, _EXIT_USAGE)
    if not changes:
        print("the versions say the same")
        return 0
    print_changes(changes, str(namespace.before), str(namespace.after))
    return 1


class _UsageError(Exception):
    """An argument is wrong."""


def _details(namespace: argparse.Namespace) -> Details:
    from datetime import UTC, datetime

    from penstock.server.registry.manifest import Run
    from penstock.server.registry.publish import Details

    metrics = {}
    for name, value in _pairs(namespace.metric, "--metric").items():
        try:
            metrics[name] = float(value)
        except ValueError:
            metrics[name] = math.nan
        if not math.isfinite(metrics[name]):
            raise _UsageError(f"--metric {name}={value}: expected a number")
    params = _pairs(namespace.param, "--param")
    return Details(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        version=namespace.number,
        run=Run(namespace.run_id, namespace.commit, params),
        data_hash=namespace.data_hash,
        metrics=metrics,
        examples=namespace.examples,
        columns=namespace.columns,
        classes=tuple(next(csv.reader([namespace.classes]), [])),
    )


def _pairs(arguments: list[str], flag: str) -> dict[str, str]:
    pairs = {}
    for one in arguments:
        name, separator, value = one.partition("=")
        if not (name and separator):
            raise _UsageError(f"{flag} {one}: expected NAME=VALUE")
        pairs[name] = value
    return pairs


def _push(namespace: argparse.Namespace, details: Details) -> Published:
    from penstock.server.registry.pipeline_source import find_pipeline_source, is_pipeline
    from penstock.server.registry.publish_source import find_source

    registry, path = namespace.registry, namespace.source
    if namespace.to is None and (namespace.parity is not None or namespace.allow_pickle):
        raise _UsageError("--parity and --allow-pickle are for --to onnx")
    if namespace.to is not None:
        if namespace.parity is None:
            raise _UsageError("--to onnx needs --parity ROWS, a CSV file of rows to compare")
        trusted = namespace.allow_pickle
        with converted(path, namespace.parity, allow_pickle=trusted) as made:
            return _publish(namespace, find_source(made), details)
    if is_pipeline(path):
        source = find_pipeline_source(path, registry, partial(aliases_of, registry))
        return _publish(namespace, source, details)
    return _publish(namespace, find_source(path), details)


def _publish(namespace: argparse.Namespace, source: PublishSource, details: Details) -> Published:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from penstock.server.registry.publish import publish

    columns = (TextColumn("copying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    hidden = source.total_bytes < _BAR_BYTES
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("", total=source.total_bytes)
        return publish(
            namespace.registry,
            namespace.model,
            source,
            details,
            check=None if namespace.no_load else partial(signature_of, namespace),
            progress=lambda count: bar.advance(task, count),
        )


def _manifest(directory: Path) -> Manifest:
    from penstock.server.files.roots import roots_of
    from penstock.server.registry.manifest import ManifestError
    from penstock.server.registry.verification import read_manifest

    manifest = read_manifest(directory, roots_of(directory.parents[1]))
    if manifest is None:
        raise ManifestError(f"{directory} has no manifest: it was not published with penstock push")
    return manifest


def _fail(error: Exception, status: int) -> int:
    print(f"penstock: {error}", file=sys.stderr, flush=True)
    return status
