"""``penstock push … --to onnx``: a model of another library, converted and compared."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .output import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from penstock.server.conversion.parity import OutputParity


@contextmanager
def converted(
    source: Path, rows: Path, *, allow_pickle: bool, to_stderr: bool = False
) -> Iterator[Path]:
    """The converted model, in a directory that is gone at the end; prints the comparison.

    Args:
        source: File of the model.
        rows: CSV file of the rows.
        allow_pickle: Whether the user trusts a pickle.
        to_stderr: Whether the comparison goes to standard error.

    Raises:
        ModelRefused: It cannot be converted, or answers otherwise.
        OSError: A file cannot be read or written.
    """
    from penstock.runtimes.onnx import FILE_NAME, OnnxRuntime
    from penstock.server.conversion.original import open_original
    from penstock.server.conversion.rows_file import read_rows
    from penstock.server.conversion.to_onnx import check_parity, check_table, convert
    from penstock.server.files.refusal import ModelRefused

    original = open_original(source, allow_pickle=allow_pickle)
    checked = check_table(original, read_rows(rows), rows)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, FILE_NAME)
        convert(original, checked, source, path)
        parities = check_parity(original, checked, Path(directory), OnnxRuntime())
        _print(parities, to_stderr=to_stderr)
        if not all(one.agrees for one in parities):
            raise ModelRefused(
                "the converted model does not answer as the original, so it is not published; "
                "thresholds of trees that float32 cannot tell apart are the usual reason: push the "
                "file itself, which its own runtime serves exactly"
            )
        yield path


def _print(parities: Sequence[OutputParity], *, to_stderr: bool) -> None:
    from rich.console import Console

    made = table("output", "rows", "worst absolute", "worst relative", "beyond", "change class")
    for column in made.columns[1:]:
        column.justify = "right"
    for one in parities:
        where = "" if one.first_changed is None else f" (first: row {one.first_changed + 1})"
        made.add_row(
            one.name,
            str(one.rows),
            f"{one.worst_absolute:.3g}",
            f"{one.worst_relative:.3g}",
            str(one.beyond),
            f"{one.changed}{where}",
        )
    Console(stderr=to_stderr).print(made)
