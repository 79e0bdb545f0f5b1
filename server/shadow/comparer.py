"""Runs a candidate on copied batches and reports how its answers differ. One thread."""

from __future__ import annotations

import math
import sys
import time
from itertools import pairwise
from random import random
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .answer_diff import compare
from .tally import WORST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.runtimes.contract import Array, Model
    from penstock.server.rollout.tolerance import Tolerance
    from penstock.server.shadow_copies.batches import CopiedBatch

    from .answer_diff import Comparison

#: Share of the batches that the primary runs again, for the comparison of processor time.
REFERENCE_SHARE: Final = 1 / 8
_SHOWN_VALUES: Final = 8
_SHOWN_CHARACTERS: Final = 64


class Comparer:
    """Compares one candidate with one primary.

    Args:
        candidate: The loaded candidate.
        primary: The loaded primary; ``None`` if there is no room for it, and so no ratio.
        tolerance: Differences that are allowed.
        chance: Uniform in [0, 1).
        cpu_nanoseconds: Processor time of this process so far, all threads of a run included.
    """

    def __init__(
        self,
        candidate: Model,
        primary: Model | None,
        tolerance: Tolerance,
        chance: Callable[[], float] = random,
        cpu_nanoseconds: Callable[[], int] = time.process_time_ns,
    ) -> None:
        self._candidate = candidate
        self._primary = primary
        self._tolerance = tolerance
        self._chance = chance
        self._clock = cpu_nanoseconds
        self._known = frozenset(one.name for one in candidate.signature.outputs)
        self._wanted = [(one.name, one.optional) for one in candidate.signature.inputs]
        self._extra: tuple[str, ...] = ()
        self._all: tuple[str, ...] = ()
        if primary is not None:
            self._all = tuple(one.name for one in primary.signature.outputs)
            names = (one.name for one in candidate.signature.outputs)
            self._extra = tuple(name for name in names if name not in self._all)
        self._floor: list[float] = []

    def examine(self, batch: CopiedBatch) -> dict[str, Any]:
        """Run one batch.

        Returns:
            For `penstock.server.shadow.tally.Tally.add`; or only ``error``, its text.
        """
        try:
            names = [name for name in batch.output_names if name in self._known]
            inputs = self._inputs(batch)
            answers, cpu = self._run(batch, inputs, names)
        except Exception as error:  # noqa: BLE001  whatever a candidate raises is its failure
            return {"error": f"{type(error).__name__}: {error}"}
        complete = tuple(batch.output_names) == self._all
        given = dict(zip(batch.output_names, batch.outputs, strict=True))
        outcome = compare(
            given,
            dict(zip(names, answers, strict=True)),
            batch.rows,
            self._tolerance,
            self._extra if complete else (),
        )
        return {
            "requests": {
                "differing": _requests(outcome.differs, batch.offsets),
                "invalid": _requests(outcome.invalid, batch.offsets),
            },
            "rows": {
                "differing": int(outcome.differs.sum()),
                "invalid": int(outcome.invalid.sum()),
            },
            "outputs": {
                name: {
                    "compared": one.compared,
                    "differing": int(one.differs.sum()),
                    "invalid": int(one.invalid.sum()),
                    "max_absolute": one.max_absolute,
                    "max_relative": min(one.max_relative, sys.float_info.max),
                    "histogram": one.histogram,
                }
                for name, one in outcome.outputs.items()
            },
            "cpu": cpu,
            "worst": self._worst(batch, outcome, dict(zip(names, answers, strict=True))),
        }

    def _inputs(self, batch: CopiedBatch) -> list[Array | None]:
        by_name = dict(zip(batch.input_names, batch.inputs, strict=True))
        inputs = [by_name.get(name) for name, _ in self._wanted]
        for (name, optional), array in zip(self._wanted, inputs, strict=True):
            if array is None and not optional:
                raise ValueError(f"it wants input {name!r}, which the primary does not take")
        return inputs

    def _run(
        self, batch: CopiedBatch, inputs: list[Array | None], names: list[str]
    ) -> tuple[list[Array], tuple[int, int, int, int] | None]:
        """The candidate's answers; and what both took, if the primary runs beside it."""
        primary = self._primary
        if primary is None or self._chance() >= REFERENCE_SHARE:
            return _answers(self._candidate, inputs, names, batch.offsets), None
        # The second run finds the inputs in the cache, so each version is second as often.
        first = self._chance() < 1 / 2
        again: list[Array] = []
        primary_ns = 0
        if first:
            again, primary_ns = self._timed(primary, batch, batch.inputs, batch.output_names)
        answers, candidate_ns = self._timed(self._candidate, batch, inputs, names)
        if not first:
            again, primary_ns = self._timed(primary, batch, batch.inputs, batch.output_names)
        before = dict(zip(batch.output_names, batch.outputs, strict=True))
        after = dict(zip(batch.output_names, again, strict=True))
        own = compare(before, after, batch.rows, self._tolerance)
        differing = _requests(own.differs, batch.offsets)
        return answers, (candidate_ns, primary_ns, len(batch.request_ids), differing)

    def _timed(
        self,
        model: Model,
        batch: CopiedBatch,
        inputs: Sequence[Array | None],
        names: Sequence[str],
    ) -> tuple[list[Array], int]:
        before = self._clock()
        answers = _answers(model, inputs, names, batch.offsets)
        return answers, self._clock() - before

    def _worst(
        self, batch: CopiedBatch, outcome: Comparison, answers: dict[str, Array]
    ) -> list[dict[str, Any]]:
        """The rows that are worse than the worst that were reported before."""
        floor = self._floor[-1] if len(self._floor) == WORST else 0.0
        rows = np.flatnonzero(outcome.severity > floor)
        if not len(rows):
            return []
        rows = rows[np.argsort(-outcome.severity[rows], kind="stable")][:WORST]
        severities = outcome.severity[rows].tolist()
        self._floor = sorted([*self._floor, *severities], reverse=True)[:WORST]
        given = dict(zip(batch.output_names, batch.outputs, strict=True))
        return [
            {
                "severity": severity,
                **_place(batch, row),
                "outputs": {
                    name: {
                        "primary": _shown(given.get(name), batch.rows, row),
                        "shadow": _shown(answers.get(name), batch.rows, row),
                    }
                    for name, one in outcome.outputs.items()
                    if one.differs[row]
                },
            }
            for row, severity in zip(rows.tolist(), severities, strict=True)
        ]


def _answers(
    model: Model, inputs: Sequence[Array | None], names: Sequence[str], offsets: Sequence[int]
) -> list[Array]:
    """What the model answers to a batch; request by request if its requests run alone."""
    if model.signature.batch_axis or len(offsets) <= 2:  # noqa: PLR2004  one request
        return _checked(model.execute(inputs, names), names)
    parts = []
    for start, end in pairwise(offsets):
        own = [None if array is None else array[start:end] for array in inputs]
        parts.append(_checked(model.execute(own, names), names))
    return [np.concatenate(list(map(np.atleast_1d, column))) for column in zip(*parts, strict=True)]


def _checked(answers: list[Array], names: Sequence[str]) -> list[Array]:
    if len(answers) != len(names) or not all(isinstance(one, np.ndarray) for one in answers):
        raise TypeError(f"it gave {len(answers)} outputs, expected {len(names)} arrays")
    return answers


def _requests(flags: Any, offsets: Sequence[int]) -> int:
    """Requests with any such row."""
    if len(offsets) - 1 == len(flags):
        return int(flags.sum())
    return sum(bool(flags[start:end].any()) for start, end in pairwise(offsets))


def _place(batch: CopiedBatch, row: int) -> dict[str, Any]:
    index = int(np.searchsorted(batch.offsets, row, side="right")) - 1
    request = batch.request_ids[index].decode("latin-1")
    return {"request_id": request, "row": row - batch.offsets[index]}


def _shown(array: Array | None, rows: int, row: int) -> list[Any] | None:
    """The first values of a row, as what JSON can hold."""
    if array is None:
        return None
    mine = array[row] if array.ndim and len(array) == rows else array
    return [_value(one) for one in np.ravel(mine)[:_SHOWN_VALUES].tolist()]


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")[:_SHOWN_CHARACTERS]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
