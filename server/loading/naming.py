"""Which names the columns and classes of a loaded model have."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from penstock.monitoring.drift.baseline_files import read_baseline
from penstock.runtimes.contract import Column
from penstock.server.registry.column_names import Misnamed, adopted, with_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from penstock.runtimes.contract import Signature


def named_signature(
    found: Signature,
    declared: Signature | None,
    baselines: Sequence[Path],
    features: Sequence[str],
) -> Signature:
    """A signature with names, from the first of these that has them.

    In this order: the model itself, its manifest, the header of the data that its baseline was
    built from, and ``features`` of its ``model.toml``. Names that do not fit the model are none.

    Args:
        found: As the runtime found it.
        declared: As the manifest promises it; ``None`` without a manifest.
        baselines: Where a baseline of the version may be.
        features: Names of all input scalars in order, if the operator gave any.
    """
    signature = adopted(found, declared)
    if all(one.columns or one.optional for one in signature.inputs):
        return signature
    for names in (*_headers(baselines), features):
        with suppress(Misnamed):
            if names:
                return with_columns(signature, [Column(name) for name in names])
    return signature


def _headers(baselines: Sequence[Path]) -> Iterator[list[str]]:
    """The names of the inputs in each baseline that can be read."""
    for path in baselines:
        with suppress(OSError, ValueError):
            baseline = read_baseline(path)
            if baseline is not None:
                yield [name for name, one in baseline.references.items() if not one.output]
