"""Whether a baseline that somebody hands over is one of this version, and what of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from penstock.monitoring.drift.baseline import Baseline
from penstock.monitoring.drift.features import input_features
from penstock.monitoring.drift.schema import rename
from penstock.runtimes.datatypes import NUMPY_OF

if TYPE_CHECKING:
    from penstock.monitoring.drift.options import DriftOptions
    from penstock.runtimes.contract import Signature
    from penstock.server.config.model_log import LogOptions


class Unfit(Exception):
    """The baseline is not one of this version; says why."""


def private_inputs(log: LogOptions) -> frozenset[str]:
    """Inputs whose values no baseline contains.

    The subject of a row is not watched, a dropped input does not arrive, and a hashed input
    arrives with other values than a file of training data has.
    """
    return frozenset({*log.drop, *log.hash, log.subject} - {""})


def accept(
    baseline: Baseline,
    digest: str,
    signature: Signature | None,
    options: DriftOptions,
    log: LogOptions,
) -> tuple[Baseline, list[str]]:
    """What is kept of a baseline, and the inputs that are left out.

    Args:
        baseline: As it came.
        digest: Digest of the version; empty if it has none.
        signature: Signature of the version; ``None`` if its manifest does not say.
        options: Options of the model.
        log: Log of the model.

    Raises:
        Unfit: It is of other files or inputs, or of too few rows.
    """
    if not baseline.belongs_to(digest):
        raise Unfit(f"the baseline is of {baseline.digest}, the version is {digest}")
    if baseline.rows < options.min_rows:
        raise Unfit(f"the baseline has {baseline.rows} rows, expected at least {options.min_rows}")
    private = private_inputs(log)
    kept = baseline.without(private)
    built = [name for name, one in kept.items() if not one.output]
    if not built:
        raise Unfit("the baseline has no input that may be watched")
    names = [] if signature is None else _names(signature, private)
    if names:
        _, problem = rename(names, options.features, built)
        if problem:
            raise Unfit(f"{problem}: {_some(built)} and {_some(names)}")
    left_out = [name for name in baseline.references if name not in kept]
    made = Baseline(kept, baseline.source, baseline.data, digest, baseline.made)
    return made, left_out


def _names(signature: Signature, private: frozenset[str]) -> list[str]:
    """What the inputs will be called; nothing if their size is open."""
    names: list[str] = []
    for one in signature.inputs:
        if one.name in private:
            continue
        sizes = one.shape[1:] if signature.rows_axis else one.shape
        if any(size < 0 for size in sizes):
            return []
        row = np.broadcast_to(np.empty((), NUMPY_OF[one.datatype]), (1, *sizes))
        names += [feature.name for feature in input_features(one.name, row)]
    return names


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown}, …" if len(names) > 5 else shown  # noqa: PLR2004  enough to recognise them
