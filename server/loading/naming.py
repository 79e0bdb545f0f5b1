"""Which names the columns and classes of a loaded model have."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.monitoring.drift.baseline_files import read_baseline
from penstock.runtimes.contract import Column
from penstock.server.registry.column_names import Misnamed, with_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Signature


def named_signature(
    promised: Signature,
    baselines: Sequence[Path],
    features: Sequence[str],
) -> Signature:
    """A signature with names, from the first of these that has them.

    In this order: the model itself and its manifest, the header of the data that its baseline was
    built from, and ``features`` of its ``model.toml``. Names that do not fit the model are none.
    The last two are no promise to clients: another version may lack them.

    Args:
        promised: With the names that the model and its manifest have.
        baselines: Where a baseline of the version may be.
        features: Names of all input scalars in order, if the operator gave any.
    """
    if all(one.columns or one.optional for one in promised.inputs):
        return promised
    for names in (*_headers(baselines), features):
        with suppress(Misnamed):
            if names:
                return with_columns(promised, [Column(name) for name in names])
    return promised


def _headers(baselines: Sequence[Path]) -> Iterator[list[str]]:
    """The names of the inputs in each baseline that can be read."""
    for path in baselines:
        with suppress(OSError, ValueError):
            baseline = read_baseline(path)
            if baseline is not None:
                yield [name for name, one in baseline.references.items() if not one.output]
