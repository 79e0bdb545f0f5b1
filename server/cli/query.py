"""``penstock query``: SQL over the prediction log."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from .client import CommandFailed
from .place import add_place_option, find_state

if TYPE_CHECKING:
    import argparse

    from penstock.monitoring.prediction_log.answer import Answer

_EXIT_FAILURE: Final = 1
FORMATS: Final = ("table", "json", "csv")
#: Rows of an answer unless somebody asks for more.
ROWS: Final = 1000


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "query",
        help="SQL over the prediction log, while it is written",
        description=(
            "Answer one SELECT over the prediction log. Each model is a table; predictions has "
            "what all of them have. Days that were sealed need the extra analytics."
        ),
    )
    parser.add_argument("statement", metavar="SELECT")
    parser.add_argument("--format", choices=FORMATS, default="table", help="table by default")
    parser.add_argument(
        "--rows", type=int, default=ROWS, metavar="N", help=f"at most; {ROWS} by default"
    )
    parser.add_argument(
        "--engine",
        choices=("auto", "duckdb", "sqlite"),
        default="auto",
        help="DuckDB if there are sealed days and it is installed, by default",
    )
    add_place_option(parser)
    parser.set_defaults(run=run_query)


def run_query(namespace: argparse.Namespace) -> int:
    """Print the answer; returns the exit status."""
    from penstock.monitoring.prediction_log.answer import QueryFailed
    from penstock.monitoring.prediction_log.query import query

    try:
        state, _ = find_state(namespace)
        rows = max(1, namespace.rows)
        answer = query(state / "monitor", namespace.statement, rows, namespace.engine)
    except (CommandFailed, QueryFailed) as failure:
        print(f"penstock: {failure}", file=sys.stderr)
        return _EXIT_FAILURE
    if namespace.format == "json":
        for row in answer.rows:
            print(json.dumps(dict(zip(answer.columns, row, strict=True)), default=shown))
    elif namespace.format == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows([[_cell(one) for one in row] for row in answer.rows])
    else:
        _print_table(answer)
    for note in answer.notes:
        print(f"penstock: {note}", file=sys.stderr)
    if answer.more:
        print(f"penstock: there are more than {rows} rows; see --rows", file=sys.stderr)
    return 0


def shown(value: Any) -> str:
    """A value that JSON has no type for: blobs as hexadecimal digits, times as text."""
    return value.hex() if isinstance(value, bytes) else str(value)


def _cell(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _print_table(answer: Answer) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in answer.columns:
        table.add_column(escape(name), no_wrap=True)
    for row in answer.rows:
        table.add_row(*("" if one is None else escape(str(_cell(one))) for one in row))
    console = Console()
    # Nothing is cut off for the width of a pipe, nor of a terminal: rows may wrap there.
    width = max(console.width, console.measure(table).maximum)
    console.print(table, width=width, crop=False, soft_wrap=True, highlight=False)
