"""``penstock export``: labelled predictions as a file for retraining."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from .arguments import Json, Model, Since
from .command_failed import CommandFailed
from .output import note, show_json
from .place import StateDir, find_state
from .progress import count_bar


def run_export(
    model: Model,
    *,
    labelled: Annotated[bool, typer.Option("--labelled", help="With their labels.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="A .parquet or .csv.")
    ],
    since: Since = "7d",
    state_dir: StateDir = None,
    as_json: Json = False,
    clock: Callable[[], float] = time.time,
) -> int:
    """Write predictions with their labels to a file for retraining.

    Inputs and outputs as logged, version, arm, sampled fraction, label and its time. Parquet needs
    the extra analytics.
    """
    import sqlite3

    from penstock.monitoring.feedback.export import ExportFailed, LabelledExport
    from penstock.server.errors import InvalidRequest
    from penstock.server.rollout.options import parse_duration

    assert labelled  # the only kind there is; the flag is required
    if output.is_dir():
        output /= f"{model}.parquet"
    state, _ = find_state(state_dir)
    try:
        export = LabelledExport(
            state / "monitor", model, clock() - parse_duration(since, "--since")
        )
        write = export.write_csv if output.suffix == ".csv" else export.write_parquet
        with count_bar("predictions", len(export)) as progress:
            count = write(output, progress)
    except (ExportFailed, InvalidRequest, OSError, sqlite3.Error) as failure:
        raise CommandFailed(failure) from None
    for one in export.notes:
        note(one)
    if as_json:
        show_json({"output": str(output), "predictions": count, "notes": export.notes})
    else:
        print(f"{output}: {count} labelled predictions")
    return 0
