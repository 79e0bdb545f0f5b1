"""``penstock feedback``: hand over labels, the truth of past predictions."""

from pathlib import Path
from typing import Annotated, Final

import typer

from .arguments import Json
from .client import token_of
from .command_failed import CommandFailed
from .exits import Exit
from .hand_over import HandOver
from .output import note, show_json
from .progress import count_bar

DEFAULT_URL: Final = "http://127.0.0.1:8000"
_MOST_NAMES: Final = 20


def run_feedback(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A .csv with a heading or a .jsonl: request_id, label, and index, label_time, "
            "source.",
        ),
    ],
    *,
    url: Annotated[str, typer.Option(metavar="URL", help="Of the prediction port.")] = DEFAULT_URL,
    token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", help="If the server asks for one; default: PENSTOCK_TOKEN."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Hand over labels: the truth of past predictions.

    The labels of a file, row by row: what is no label is told with its line, and left out. Labels
    that were handed over before are counted once. Exit status: 0 if no row was refused (rows
    without a label yet are left out), 3 if some were, 1 if nothing was accepted or the server could
    not be reached.
    """
    from penstock.monitoring.feedback.label_file import LabelFile, LabelFileError

    handed = HandOver(url, token_of(token))
    labels = LabelFile(file)
    try:
        with count_bar("rows") as count:
            for row in labels.rows():
                handed.add(row)
                count(1)
            handed.send()
    except (CommandFailed, LabelFileError, OSError) as failure:
        failed = CommandFailed(failure)
        said = f"{failed}; {handed.sent} labels were accepted"
        raise CommandFailed(said, code=failed.code) from None
    if labels.ignored:
        names = ", ".join(sorted(labels.ignored)[:_MOST_NAMES])
        note(f"ignored, as they say nothing of a label: {names}")
    for line in handed.report():
        note(line)
    if as_json:
        show_json({"accepted": handed.sent, "refused": handed.refused, **handed.totals})
    else:
        totals = handed.totals.items()
        print(", ".join(f"{count} {name}" for name, count in totals) or "no labels")
    if not handed.refused:
        return Exit.DONE
    return Exit.PARTIAL if handed.sent else Exit.FAILED
