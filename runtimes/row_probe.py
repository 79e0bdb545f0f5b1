"""A probe that looks for rows that influence each other, where the graph proves nothing.

Each made-up row is run alone. Then rows are run together: few and many, in several orders, twice,
and each odd row beside plain ones. A row must get the answer that it got alone: the same labels and
shapes, and numbers that differ by rounding at most. A probe can find an influence and cannot prove
that there is none, so whatever goes wrong or takes too long counts as one.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from .contract import VARIABLE
from .probe_rows import odd_rows, plain_rows
from .synthetic import MAX_PROBE_ELEMENTS, made_up_elements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .contract import Array, Model

    Row = list[Array | None]

#: Sizes tried for open dimensions other than axis 0, until the model accepts one.
SIZES: Final = (5, 32, 1)
DEADLINE_SECONDS: Final = 2.0
#: Of the largest magnitude in a row's own output: rounding stays under it.
TOLERANCE: Final = 1e-4
#: The same in half precision, whose own step is 1e-3.
HALF_TOLERANCE: Final = 1e-2
#: Rows that the model has to accept and answer in at least two ways, for the probe to see anything.
MIN_ROWS: Final = 4
_COUNTS: Final = (2, 3, 5, 8, 17, 33, 64)
_SEEDS: Final = 2
#: A model with slower rows is probed with fewer of them: about a hundred runs have to fit.
_SLOW_ROW_SECONDS: Final = 2e-3
_FEW: Final = 6
_FEW_AT_ONCE: Final = 8
#: How far an input is moved to see whether an answer hangs on its last digits.
_PERTURBATION: Final = 1e-6


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Whether rows were seen to be answered as alone, and what the probe did or saw."""

    apart: bool
    reason: str


@dataclass(slots=True)
class _Pool:
    """Rows that the model accepts alone, and their answers.

    Attributes:
        rows: One-row inputs.
        answers: Outputs of each.
        plain: Indices of plain rows.
        steady: Indices of rows whose answer does not hang on the last digits of their inputs.
    """

    rows: list[Row] = field(default_factory=list)
    answers: list[list[Array]] = field(default_factory=list)
    plain: list[int] = field(default_factory=list)
    steady: set[int] = field(default_factory=set)


class _Seen(Exception):
    """The probe is over; the message is the reason why rows are run alone."""


def probe(
    model: Model,
    max_rows: int = 64,
    clock: Callable[[], float] = time.monotonic,
    seconds: float = DEADLINE_SECONDS,
) -> ProbeResult:
    """Look for rows that influence each other.

    Args:
        model: Its signature has a batch axis.
        max_rows: Most rows that a run will have.
        clock: Monotonic seconds.
        seconds: Seconds that it may take; properties that are not shown by then are not believed.
    """
    probing = _Probe(model, max_rows, clock, clock() + seconds)
    try:
        return ProbeResult(apart=True, reason=probing.run())
    except _Seen as seen:
        return ProbeResult(apart=False, reason=str(seen))


class _Probe:
    """One probe of one model."""

    def __init__(
        self, model: Model, max_rows: int, clock: Callable[[], float], deadline: float
    ) -> None:
        self._model = model
        self._names = [spec.name for spec in model.signature.outputs]
        self._clock = clock
        self._deadline = deadline
        self._max_rows = max(max_rows, 2)
        self._runs = 0
        self._most = 0

    def run(self) -> str:
        """What was done, if nothing was seen.

        Raises:
            _Seen: Why rows are to run alone.
        """
        pool = self._fill()
        self._require_variety(pool)
        for batch in _batches(pool, self._max_rows, few=self._slow):
            self._check(pool, batch)
        return f"probed: {self._runs} runs of up to {self._most} rows gave each its answer alone"

    def _fill(self) -> _Pool:
        signature = self._model.signature
        open_sizes = any(VARIABLE in spec.shape[1:] for spec in signature.inputs)
        for size in SIZES if open_sizes else SIZES[-1:]:
            elements = made_up_elements(signature, 1, size)
            if elements > MAX_PROBE_ELEMENTS // 2:
                continue
            pool = _Pool()
            plain = plain_rows(signature, size)
            started = self._clock()
            for row in plain:
                self._admit(pool, row, plain=True)
            if not pool.rows:
                continue
            self._slow = self._clock() - started > _SLOW_ROW_SECONDS * 2 * len(plain)
            self._max_rows = min(self._max_rows, MAX_PROBE_ELEMENTS // max(elements, 1))
            odd = odd_rows(signature, size)
            for row in odd[: _FEW if self._slow else None]:
                self._admit(pool, row, plain=False)
            return pool
        raise _Seen("it accepts no made-up row, so rows could not be probed")

    def _admit(self, pool: _Pool, row: Row, *, plain: bool) -> None:
        """Run a row alone, and once more a little moved."""
        try:
            answer = self._execute(row)
        except Exception:  # noqa: BLE001  no common base class; the row is of no use
            return
        if any(output.ndim == 0 or len(output) != 1 for output in answer):
            raise _Seen("one row is not answered with one row")
        index = len(pool.rows)
        pool.rows.append(row)
        pool.answers.append(answer)
        if plain:
            pool.plain.append(index)
        try:
            moved = self._execute([_moved(array) for array in row])
        except Exception:  # noqa: BLE001  as above
            return
        if all(map(_close, moved, answer)):
            pool.steady.add(index)

    def _require_variety(self, pool: _Pool) -> None:
        steady = [pool.answers[i] for i in sorted(pool.steady)]
        if len(steady) < MIN_ROWS or not pool.plain:
            raise _Seen(f"it accepts {len(steady)} of the made-up rows: too few to probe it")
        for i, name in enumerate(self._names):
            if all(_close(answer[i], steady[0][i]) for answer in steady):
                raise _Seen(f"output {name!r} is the same for all made-up rows: nothing to compare")

    def _check(self, pool: _Pool, batch: Sequence[int]) -> None:
        """Run rows together and compare each with its answer alone."""
        inputs = [_joined([pool.rows[i][k] for i in batch]) for k in range(len(pool.rows[0]))]
        count = len(batch)
        try:
            outputs = self._execute(inputs)
        except Exception as error:
            raise _Seen(f"{count} rows together fail, which are answered alone: {error}") from error
        for name, output, k in zip(self._names, outputs, range(len(outputs)), strict=True):
            if output.shape[:1] != (count,):
                raise _Seen(f"output {name!r} has shape {list(output.shape)} for {count} rows")
            for place, i in enumerate(batch):
                if i in pool.steady and not _close(output[place : place + 1], pool.answers[i][k]):
                    raise _Seen(
                        f"rows influence each other: output {name!r} of a row is another one "
                        f"among {count} rows than alone"
                    )

    def _execute(self, inputs: Sequence[Array | None]) -> list[Array]:
        if self._clock() > self._deadline:
            raise _Seen("the probe of its rows took too long")
        self._runs += 1
        rows = next((len(array) for array in inputs if array is not None), 0)
        self._most = max(self._most, rows)
        with np.errstate(all="ignore"):
            return self._model.execute(inputs, self._names)


def _batches(pool: _Pool, max_rows: int, *, few: bool) -> Iterator[list[int]]:
    """Which rows run together, as indices: the likeliest to show something come first."""
    everybody = list(range(len(pool.rows)))
    plain = pool.plain
    odd = [i for i in everybody if i not in set(plain)]
    for i, one in enumerate(odd):
        near = [plain[(i + k) % len(plain)] for k in range(4)]
        yield [near[0], one]
        yield [one, near[0]] if few else [near[0], near[1], one, near[2], near[3]]
        if not few:
            yield [one, *near]
    generator = np.random.default_rng(0)
    most = min(max_rows, _FEW_AT_ONCE) if few else max_rows
    counts = {*(count for count in _COUNTS if count <= most), most}
    for count in sorted(counts):
        yield [plain[k % len(plain)] for k in range(count)]  # in their order, then again
        yield [plain[0]] * count
        for _ in range(1 if few else _SEEDS):
            yield generator.choice(everybody, count).tolist()
            yield generator.choice(plain, count).tolist()
    if not few:
        whole = everybody[:max_rows]
        for order in (whole, whole[::-1], generator.permutation(whole).tolist()):
            yield order
            yield [*order[1:], order[0]]


def _joined(arrays: Sequence[Array | None]) -> Array | None:
    """One input of several rows; ``None`` if it is left out."""
    given = [array for array in arrays if array is not None]
    return np.concatenate(given) if given else None


def _moved(array: Array | None) -> Array | None:
    """The same numbers, a little larger."""
    if array is None or array.dtype.kind != "f":
        return array
    perturbation = _PERTURBATION if array.dtype.itemsize > 2 else HALF_TOLERANCE / 10  # noqa: PLR2004
    with np.errstate(all="ignore"):
        return np.asarray(array * (1 + perturbation), dtype=array.dtype)


def _close(actual: Array, expected: Array) -> bool:
    """Whether two answers of one row differ by rounding at most."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    if expected.dtype.kind != "f":
        return bool(np.array_equal(actual, expected))
    given, right = actual.astype(np.float64), expected.astype(np.float64)
    same = (given == right) | (np.isnan(given) & np.isnan(right))
    if same.all():
        return True
    finite = np.isfinite(right)
    scale = float(np.abs(right[finite]).max(initial=0.0))
    allowed = scale * (TOLERANCE if expected.dtype.itemsize > 2 else HALF_TOLERANCE)  # noqa: PLR2004
    with np.errstate(all="ignore"):
        off = np.abs(given - right)
    return bool((same | (off <= allowed)).all()) and math.isfinite(allowed)
