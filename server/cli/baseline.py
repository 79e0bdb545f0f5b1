"""``penstock baseline build | accept | forget``: the baseline of a version."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from .arguments import Json, Model, Reason, Version
from .client import ServerOptions, find_server, model_path
from .command_failed import CommandFailed
from .output import show_json
from .progress import count_bar

if TYPE_CHECKING:
    from penstock.monitoring.drift.baseline import Baseline


@dataclass(frozen=True, slots=True)
class BuildOptions(ServerOptions):
    """The options of building a baseline."""

    target: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="No input of the model; repeatable."),
    ] = None
    in_order: Annotated[
        bool,
        typer.Option(
            "--in-order",
            help="Rows are in the order of time: learn from them how much healthy data varies.",
        ),
    ] = False
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Only write it: baseline.json of a version."),
    ] = None
    reason: Reason = ""
    as_json: Json = False


def run_build(
    model: Model,
    version: Version,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .csv with a heading, or a .parquet.")
    ],
    options: BuildOptions,
    now: Callable[[tzinfo], datetime] = datetime.now,
) -> int:
    """Make the baseline of a version from its training data."""
    from penstock.monitoring.drift.baseline import encode
    from penstock.monitoring.drift.baseline_files import write_baseline

    baseline = _built(file, options, now(UTC).isoformat(timespec="seconds"))
    if options.output is not None:
        try:
            write_baseline(options.output, baseline)
        except OSError as error:
            raise CommandFailed(
                f"{options.output} cannot be written: {error.strerror or error}"
            ) from None
        _say(str(options.output), baseline, options)
        return 0
    reason = f"?{urlencode({'reason': options.reason})}" if options.reason else ""
    path = model_path(model, f"/versions/{version}/baseline{reason}")
    answer = find_server(options).ask("PUT", path, json.loads(encode(baseline)))
    if options.as_json:
        show_json(answer)
        return 0
    print(f"{model} version {version}: {_described(baseline, answer['baseline'])}")
    if answer["left_out"]:
        print(f"left out, as model.toml says under [log]: {', '.join(answer['left_out'])}")
    return 0


def run_accept(
    model: Model,
    version: Version,
    server: ServerOptions,
    *,
    reason: Reason = "",
    windows: Annotated[
        int | None,
        typer.Option(metavar="N", help="So many of the last; default: those since drift began."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say of what it would be made.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Make the last windows of live rows the baseline of a version: their change is right.

    Needs --reason, unless it is a dry run.
    """
    asked: dict[str, Any] = {"reason": reason, "dry_run": dry_run, "windows": windows}
    path = model_path(model, f"/versions/{version}/baseline/accept")
    answer = find_server(server).ask("POST", path, asked)
    if as_json:
        show_json(answer)
        return 0
    start, end = (datetime.fromtimestamp(answer[key], UTC) for key in ("start", "end"))
    print(
        f"{model} version {version}: baseline {answer['baseline'] or '(dry run)'}, "
        f"{answer['windows']} windows, {answer['rows']} rows, "
        f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
    )
    until = answer["calibrating_until"]
    if until is None:
        print("the next window is compared with it")
    else:
        print(
            f"calibrating until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC at the "
            "earliest: until then only gross drift opens an episode"
        )
    if answer["learnt_anew"]:
        print(f"too far from their bins, learnt anew: {', '.join(answer['learnt_anew'])}")
    return 0


def run_forget(
    model: Model,
    version: Version,
    server: ServerOptions,
    *,
    reason: Reason = "",
    as_json: Json = False,
) -> int:
    """Learn the baseline of a version anew, from the next live rows."""
    path = model_path(model, f"/versions/{version}/baseline")
    answer = find_server(server).ask("DELETE", path, {"reason": reason})
    if as_json:
        show_json(answer)
    else:
        print(f"{model} version {version}: the next live rows are the baseline")
    return 0


def _built(file: Path, options: BuildOptions, made: str) -> "Baseline":
    from penstock.monitoring.drift.baseline_building import BadData, build_baseline

    try:
        with count_bar("rows, read twice") as count:
            return build_baseline(
                file,
                made,
                leave_out=options.target or (),
                in_order=options.in_order,
                progress=count,
            )
    except BadData as error:
        raise CommandFailed(error) from None
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror or error}") from None


def _say(where: str, baseline: "Baseline", options: BuildOptions) -> None:
    if options.as_json:
        inputs = len(baseline.references)
        show_json(
            {"output": where, "baseline": baseline.id, "rows": baseline.rows, "inputs": inputs}
        )
    else:
        print(f"{where}: {_described(baseline)}")


def _described(baseline: "Baseline", name: str = "") -> str:
    categories = sum(one.categorical for one in baseline.references.values())
    return (
        f"baseline {name or baseline.id}, {baseline.rows} rows, {len(baseline.references)} inputs "
        f"({categories} of them categories)"
    )
