"""``penstock push``: publish a version of a model, no server needed."""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from .arguments import Json
from .command_failed import CommandFailed
from .completion import complete_model
from .convert import converted
from .exits import Exit
from .output import show_json
from .progress import byte_bar
from .push_mlflow import MlflowSource, push_mlflow, push_source
from .push_note import aliases_of, traffic_note
from .push_place import PushPlace, open_push_place
from .registry_config import server_config
from .user import user

if TYPE_CHECKING:
    from penstock.server.registry.publish import Details, Published
    from penstock.server.registry.publish_source import PublishSource

_RUN: Final = "Where it comes from"
_CONVERT: Final = "Conversion"
_MLFLOW: Final = "MLflow"


@dataclass(frozen=True, slots=True)
class PushOptions:
    """The options of a version, of its check and of its conversion."""

    number: Annotated[
        int | None,
        typer.Option("--number", "--version", metavar="N", help="Default: the next free."),
    ] = None
    run_id: Annotated[
        str, typer.Option(metavar="ID", help="Of the training run.", rich_help_panel=_RUN)
    ] = ""
    commit: Annotated[
        str, typer.Option(metavar="HASH", help="Of the training code.", rich_help_panel=_RUN)
    ] = ""
    data_hash: Annotated[
        str, typer.Option(metavar="HASH", help="Of the training data.", rich_help_panel=_RUN)
    ] = ""
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Of the evaluation; repeatable.", rich_help_panel=_RUN
        ),
    ] = None
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Of the training run; repeatable.", rich_help_panel=_RUN
        ),
    ] = None
    card: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=TEXT",
            help="For people, such as intended_use; repeatable.",
            rich_help_panel=_RUN,
        ),
    ] = None
    examples: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Golden requests, as JSON.")
    ] = None
    columns: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Names of columns: a JSON list, or a table."),
    ] = None
    classes: Annotated[
        str, typer.Option(metavar="NAME,NAME", help="Names of classes, in the model's order.")
    ] = ""
    no_load: Annotated[
        bool, typer.Option("--no-load", help="Do not load it here to learn its signature.")
    ] = False
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt",
            help="Take over version N of an object store, whose files were uploaded by hand.",
        ),
    ] = False
    to: Annotated[
        Literal["onnx"] | None,
        typer.Option(
            help="Convert a scikit-learn, XGBoost or LightGBM model here, and publish it only if "
            "it answers as the original; needs --parity.",
            rich_help_panel=_CONVERT,
        ),
    ] = None
    parity: Annotated[
        Path | None,
        typer.Option(
            metavar="ROWS",
            help="CSV of rows at which both must agree.",
            rich_help_panel=_CONVERT,
        ),
    ] = None
    allow_pickle: Annotated[
        bool,
        typer.Option(
            "--allow-pickle",
            help="Open a pickle of your own for --to: it runs the code that is in it.",
            rich_help_panel=_CONVERT,
        ),
    ] = False
    tracking_uri: Annotated[
        str,
        typer.Option(
            metavar="URI",
            envvar="MLFLOW_TRACKING_URI",
            help="Tracking server of a models:/ address.",
            rich_help_panel=_MLFLOW,
        ),
    ] = ""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a version is published, and how it is checked."""

    place: PushPlace
    model: str
    options: PushOptions


def run_push(
    registry: Annotated[
        str, typer.Argument(metavar="REGISTRY", help="A directory, or the URL of an object store.")
    ],
    options: PushOptions,
    model: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Name of the model.", autocompletion=complete_model),
    ] = None,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="A model file, a directory with one, a pipeline.toml, or a version of MLflow: "
            "models:/NAME@ALIAS or models:/NAME/VERSION.",
        ),
    ] = None,
    *,
    as_json: Json = False,
    now: Callable[[tzinfo], datetime] = datetime.now,
) -> int:
    """Check a model and publish it as a version, which never changes afterwards.

    Exit status 1: nothing was published.
    """
    from penstock.runtimes.contract import ModelLoadError
    from penstock.server.errors import ApiError

    found = push_source(registry, model, source, options.tracking_uri, adopt=options.adopt)
    details = _details(options, now(UTC).isoformat(timespec="seconds"))
    try:
        with open_push_place(found.registry, found.model) as place:
            target = _Target(place, found.model, options)
            send = partial(_push, target, json=as_json)
            if options.adopt:
                published = place.adopt(found.model, send, details)
            elif isinstance(found, MlflowSource):
                published = push_mlflow(
                    found, place.publishing, send, details, loaded=not options.no_load
                )
                published = _finish(published, place, details.version)
            else:
                published = send(Path(found.file), details)
                published = _finish(published, place, details.version)
            _show(published, place, options, as_json=as_json)
    except (ApiError, ModelLoadError, OSError) as error:
        raise CommandFailed(error) from None
    return 0


def _finish(published: "Published", place: PushPlace, wanted: int | None) -> "Published":
    if not place.store:
        return place.publishing.finish(published, wanted, lambda _: None)
    with byte_bar("uploading", published.manifest.total_bytes) as progress:
        return place.publishing.finish(published, wanted, progress)


def _show(published: "Published", place: PushPlace, options: PushOptions, *, as_json: bool) -> None:
    from penstock.server.registry.publish_source import EXAMPLES_FILE

    manifest = published.manifest
    golden = any(one.path == EXAMPLES_FILE for one in manifest.files)
    traffic = traffic_note(place.registry, manifest.model, manifest.version, place.store)
    if as_json:
        show_json(
            {
                "model": manifest.model,
                "version": manifest.version,
                "digest": manifest.digest,
                "path": place.path_of(published),
                "same_as": published.same_as,
                "new": published.new,
                "golden": golden and not options.no_load,
                "traffic": traffic,
            }
        )
        return
    print(f"{manifest.model} version {manifest.version}")
    print(f"  digest  {manifest.digest}")
    print(f"  path    {place.path_of(published)}")
    if published.same_as is not None:
        print(f"  note    same files as version {published.same_as}")
    if not published.new:
        print("  note    it was published before; nothing has changed")
        return
    if golden:
        print(f"  golden  {'not run (--no-load)' if options.no_load else 'answered as stored'}")
    print(f"  traffic {traffic}")


def _details(options: PushOptions, created_at: str) -> "Details":
    from penstock.server.registry.manifest import Run
    from penstock.server.registry.publish import Details

    metrics = {}
    for name, value in _pairs(options.metric, "--metric").items():
        try:
            metrics[name] = float(value)
        except ValueError:
            metrics[name] = math.nan
        if not math.isfinite(metrics[name]):
            raise CommandFailed(f"--metric {name}={value}: expected a number", Exit.USAGE)
    return Details(
        created_at=created_at,
        version=options.number,
        run=Run(options.run_id, options.commit, _pairs(options.param, "--param")),
        data_hash=options.data_hash,
        metrics=metrics,
        examples=options.examples,
        columns=options.columns,
        classes=tuple(next(csv.reader([options.classes]), [])),
        card=_pairs(options.card, "--card"),
        pushed_by=user(),
    )


def _pairs(arguments: list[str] | None, flag: str) -> dict[str, str]:
    pairs = {}
    for one in arguments or ():
        name, separator, value = one.partition("=")
        if not (name and separator):
            raise CommandFailed(f"{flag} {one}: expected NAME=VALUE", Exit.USAGE)
        pairs[name] = value
    return pairs


def _push(target: _Target, path: Path, details: "Details", *, json: bool) -> "Published":
    from penstock.server.registry.pipeline_source import find_pipeline_source, is_pipeline
    from penstock.server.registry.publish_source import find_source

    registry, options = target.place.registry, target.options
    if options.to is None and (options.parity is not None or options.allow_pickle):
        raise CommandFailed("--parity and --allow-pickle are for --to onnx", Exit.USAGE)
    if options.to is not None:
        if options.parity is None:
            needed = "--to onnx needs --parity ROWS, a CSV file of rows to compare"
            raise CommandFailed(needed, Exit.USAGE)
        trusted = options.allow_pickle
        with converted(path, options.parity, allow_pickle=trusted, to_stderr=json) as made:
            return _publish(target, find_source(made), details)
    if is_pipeline(path):
        aliases = partial(aliases_of, registry, target.place.store)
        source = find_pipeline_source(path, registry, aliases, target.place.publishing.bring)
        return _publish(target, source, details)
    return _publish(target, find_source(path), details)


def _publish(target: _Target, source: "PublishSource", details: "Details") -> "Published":
    from penstock.server.loading.publish_check import inspection_limits, signature_of
    from penstock.server.registry.publish import publish

    config = server_config(target.place.registry)
    check = partial(signature_of, config, target.model)
    with byte_bar("copying", source.total_bytes) as progress:
        return publish(
            target.place.registry,
            target.model,
            source,
            details,
            check=None if target.options.no_load else check,
            limits=inspection_limits(config),
            progress=progress,
        )
