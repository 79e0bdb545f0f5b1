"""``penstock batch``: predictions for all rows of a file."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from .arguments import AllColumns, Json, KeyColumns, Model, VersionOrAlias
from .client import find_prediction_port
from .command_failed import CommandFailed
from .exits import Exit
from .output import note, show_json
from .progress import count_bar


@dataclass(frozen=True, slots=True)
class _Port:
    """Which prediction port."""

    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Of the prediction port. Default: the server that runs here."
        ),
    ] = None
    token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", help="If the server asks for one; default: PENSTOCK_TOKEN."),
    ] = None


def run_batch(
    model: Model,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .csv with a heading, .jsonl or .parquet.")
    ],
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="A .parquet, .csv or .jsonl."),
    ],
    version: VersionOrAlias = None,
    key: KeyColumns = None,
    all_columns: AllColumns = False,
    where: _Port,
    as_json: Json = False,
) -> int:
    """Have all rows of a file predicted by a running server.

    The requests wait for all others. The columns of the output are those of --key, the outputs of
    the model, and error: why a row was not answered. A run that was killed goes on where it was
    when it is started again. Exit status: 0 if all rows were answered, 3 if some were not, 1 if
    none was or the job cannot go on.
    """
    from penstock.server.batch_job.batch_job import BatchJob, Order
    from penstock.server.batch_job.job_failed import JobFailed
    from penstock.server.batch_job.prediction_port import PredictionPort
    from penstock.server.processes.priority import lower_priority

    lower_priority()
    order = Order(model, version, file, output, tuple(key or ()), all_columns)
    try:
        port = PredictionPort(*find_prediction_port(where.url, where.token))
        job = BatchJob(order, port, note)
        with count_bar("rows", job.total) as progress:
            done = job.run(progress)
    except (JobFailed, OSError) as failure:
        raise CommandFailed(failure) from None
    if as_json:
        show_json({"output": str(output), **asdict(done)})
    else:
        failed = f", {done.failed} not answered (column error)" if done.failed else ""
        print(f"{output}: {done.rows} rows by version {done.version}{failed}")
    if not done.failed:
        return Exit.DONE
    return Exit.PARTIAL if done.failed < done.rows else Exit.FAILED
