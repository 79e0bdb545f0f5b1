"""``penstock export``: labelled predictions as a file for retraining."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .client import CommandFailed
from .place import add_place_option, find_state

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_EXIT_FAILURE: Final = 1


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "export",
        help="labelled predictions as a file for retraining",
        description=(
            "Write predictions with their labels: inputs and outputs as logged, version, arm, "
            "sampled fraction, label and its time. Parquet needs the extra analytics."
        ),
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--labelled", action="store_true", required=True, help="with their labels")
    parser.add_argument(
        "--since", default="7d", metavar="TIME", help="of the labels; 7d by default"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help=".parquet or .csv"
    )
    add_place_option(parser)
    parser.set_defaults(run=run_export)


def run_export(namespace: argparse.Namespace, clock: Callable[[], float] = time.time) -> int:
    """Write the file; returns the exit status."""
    import sqlite3

    from penstock.monitoring.feedback.export import ExportFailed, LabelledExport
    from penstock.server.errors import InvalidRequest
    from penstock.server.rollout.options import parse_duration

    output: Path = namespace.output
    if output.is_dir():
        output = output / f"{namespace.model}.parquet"
    try:
        state, _ = find_state(namespace)
        since = clock() - parse_duration(namespace.since)
        export = LabelledExport(state / "monitor", namespace.model, since)
        write = export.write_csv if output.suffix == ".csv" else export.write_parquet
        count = write(output)
    except (CommandFailed, ExportFailed, InvalidRequest, OSError, sqlite3.Error) as failure:
        print(f"penstock: {failure}", file=sys.stderr)
        return _EXIT_FAILURE
    for note in export.notes:
        print(f"penstock: {note}", file=sys.stderr)
    print(f"{output}: {count} labelled predictions")
    return 0
