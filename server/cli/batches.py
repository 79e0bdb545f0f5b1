"""``penstock batches [start | show | cancel | fetch]``: batch jobs that the server runs."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote, urlencode

import typer

from .arguments import AllColumns, Json, KeyColumns, Model, Reason, VersionOrAlias
from .client import ServerOptions, find_server
from .inherited import hand_on
from .output import plain, show, show_json, table

if TYPE_CHECKING:
    from rich.table import Table

_PATH: Final = "/v1/batches"
Batch = Annotated[str, typer.Argument(metavar="ID", help="As penstock batches has it.")]


def run_batches(
    ctx: typer.Context,
    server: ServerOptions,
    *,
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE", help="Only queued, running, done, failed or cancelled."),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", help="At most so many, the newest.")] = 100,
    as_json: Json = False,
) -> int:
    """Batch jobs that the server runs, newest first."""
    if ctx.invoked_subcommand is not None:
        hand_on(ctx, ctx.invoked_subcommand)
        return 0
    asked = {"limit": limit, **({} if state is None else {"state": state})}
    found = find_server(server).get(f"{_PATH}?{urlencode(asked)}")
    if as_json:
        show_json(found)
    elif found["batches"]:
        show(_view(found["batches"]))
        if found["more"]:
            print("there are more; ask for them with --limit")
    else:
        print("no batches")
    return 0


def run_start(
    model: Model,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="On the server, below its batch_root."),
    ],
    server: ServerOptions,
    *,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="On the server, below its batch_root."),
    ],
    version: VersionOrAlias = None,
    key: KeyColumns = None,
    all_columns: AllColumns = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="The output may take the place of a file.")
    ] = False,
    reason: Reason = "",
    as_json: Json = False,
) -> int:
    """Have the server predict all rows of a file on its own disk.

    It goes on when this command has ended, and after a restart of the server. penstock batch does
    the same for a file on this machine.
    """
    asked: dict[str, Any] = {"model": model, "input": file, "output": output, "reason": reason}
    if version is not None:
        asked["version"] = version
    if key:
        asked["keys"] = key
    asked |= {"all_columns": all_columns, "replace": replace}
    made = find_server(server).ask("POST", _PATH, asked)
    return _told(made, as_json, lambda one: f"{one['id']}: {one['input']} is queued")


def run_show(batch: Batch, server: ServerOptions, *, as_json: Json = False) -> int:
    """Show one batch job: how far it is, since when, and who asked."""
    found = find_server(server).get(_path(batch))
    if as_json:
        show_json(found)
    else:
        show(_view([found]))
        if found["error"]:
            print(found["error"])
    return 0


def run_cancel(
    batch: Batch, server: ServerOptions, *, reason: Reason = "", as_json: Json = False
) -> int:
    """Cancel a batch job. What it has done goes."""
    ended = find_server(server).ask("DELETE", _path(batch), {"reason": reason})
    return _told(ended, as_json, lambda one: f"{one['id']}: cancelled after {one['rows']} rows")


def run_fetch(
    batch: Batch,
    server: ServerOptions,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="On this machine.")
    ],
    as_json: Json = False,
) -> int:
    """Fetch the output of a batch job that is done."""
    size = find_server(server).save(_path(batch) + "/output", output)
    told = {"output": str(output), "bytes": size}
    return _told(told, as_json, lambda one: f"{one['output']}: {one['bytes']} bytes")


def _path(batch: str) -> str:
    return f"{_PATH}/{quote(batch, safe='')}"


def _told(
    content: Mapping[str, Any],
    as_json: bool,  # noqa: FBT001
    words: Callable[[Mapping[str, Any]], str],
) -> int:
    if as_json:
        show_json(content)
    else:
        print(words(content))
    return 0


def _view(batches: list[dict[str, Any]]) -> "Table":
    made = table(
        "id", "model", "version", "state", "rows", "of", "failed", "since (UTC)", "by", "output"
    )
    for one in batches:
        total = "" if one["total"] is None else f"{one['total']}"
        made.add_row(
            one["id"],
            plain(one["model"]),
            plain(one["answered_by"] or one["version"] or "stable"),
            one["state"],
            f"{one['rows']}",
            total,
            f"{one['failed']}",
            _time(one["started"] or one["created"]),
            plain(one["by"]),
            plain(one["output"]),
        )
    return made


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
