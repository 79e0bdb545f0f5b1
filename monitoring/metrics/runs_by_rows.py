"""The runs of one version by their rows, from its counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import layout

if TYPE_CHECKING:
    from .process_figures import Runs


class RunFigures(NamedTuple):
    """Sums since the server started, of the runs with the same number of rows.

    Attributes:
        rows: Rows of each run.
        runs: Number of runs.
        nanoseconds: Time of all these runs on their threads.
    """

    rows: int
    runs: int
    nanoseconds: int


def runs_by_rows(blocks: Runs, model: str, version: str) -> list[RunFigures]:
    """The runs of a version, fewest rows first; those of `layout.MOST_COUNTED_ROWS` rows at most.

    Args:
        blocks: Laid out as `layout.ROWS_PER_BLOCK` says.
        model: Name of the model.
        version: As the registry has it.
    """
    found = []
    for number in range(layout.MOST_COUNTED_ROWS // layout.ROWS_PER_BLOCK):
        slots = blocks.get((model, version, str(number)))
        if slots is None:
            continue
        for place in range(layout.ROWS_PER_BLOCK):
            runs, nanoseconds = slots[2 * place : 2 * place + 2]
            if runs:
                rows = number * layout.ROWS_PER_BLOCK + place + 1
                found.append(RunFigures(rows, runs, nanoseconds))
    return found
