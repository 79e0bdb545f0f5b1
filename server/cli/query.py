"""``penstock query``: SQL over the prediction log."""

import csv
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .arguments import Json
from .command_failed import CommandFailed
from .output import note, plain, show_json, table
from .place import StateDir, find_state

if TYPE_CHECKING:
    from penstock.monitoring.prediction_log.answer import Answer


def run_query(
    statement: Annotated[str, typer.Argument(metavar="SELECT", help="One statement.")],
    *,
    output_format: Annotated[
        Literal["table", "json", "csv"], typer.Option("--format", help="json: an object a line.")
    ] = "table",
    rows: Annotated[int, typer.Option(metavar="N", help="At most so many.")] = 1000,
    engine: Annotated[
        Literal["auto", "duckdb", "sqlite"],
        typer.Option(help="auto: DuckDB if there are sealed days and it is installed."),
    ] = "auto",
    state_dir: StateDir = None,
    as_json: Json = False,
) -> int:
    """Answer one SELECT over the prediction log, while it is written.

    Each model is a table; predictions has what all of them have. Days that were sealed need the
    extra analytics.
    """
    from penstock.monitoring.prediction_log.answer import QueryFailed
    from penstock.monitoring.prediction_log.query import query

    state, _ = find_state(state_dir)
    try:
        answer = query(state / "monitor", statement, max(1, rows), engine)
    except QueryFailed as failure:
        raise CommandFailed(failure) from None
    if as_json:
        rows_of = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
        show_json({"columns": answer.columns, "rows": rows_of, "more": answer.more}, default=shown)
    else:
        _print(answer, output_format)
    for one in answer.notes:
        note(one)
    if answer.more:
        note(f"there are more than {max(1, rows)} rows; see --rows")
    return 0


def _print(answer: "Answer", output_format: str) -> None:
    if output_format == "json":
        for row in answer.rows:
            print(json.dumps(dict(zip(answer.columns, row, strict=True)), default=shown))
    elif output_format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows([[_cell(one) for one in row] for row in answer.rows])
    else:
        _print_table(answer)


def shown(value: Any) -> str:
    """A value that JSON has no type for: blobs as hexadecimal digits, times as text."""
    return value.hex() if isinstance(value, bytes) else str(value)


def _cell(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _print_table(answer: "Answer") -> None:
    from rich.console import Console

    made = table()
    for name in answer.columns:
        made.add_column(plain(name), no_wrap=True)
    for row in answer.rows:
        made.add_row(*("" if one is None else plain(str(_cell(one))) for one in row))
    console = Console()
    # Nothing is cut off for the width of a pipe, nor of a terminal: rows may wrap there.
    width = max(console.width, console.measure(made).maximum)
    console.print(made, width=width, crop=False, soft_wrap=True, highlight=False)
