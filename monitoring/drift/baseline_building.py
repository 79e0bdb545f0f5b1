"""A baseline out of a file of rows: CSV by itself, Parquet by DuckDB. Two passes, bounded memory.

The first pass finds out which columns are numbers and takes the bins from one half of the rows; the
second counts the other half. Rows in the order of time also show how much healthy data varies: the
file is cut in chunks like windows.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from itertools import compress
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.distribution import install_command
from penstock.monitoring.files.csv_records import CsvRecords
from penstock.monitoring.offline_duckdb import connect
from penstock.monitoring.probability import is_available, what_to_install

from .baseline import FROM_FILE, Baseline, Reference
from .bins import NumberBins, category_bins, number_bins
from .halves import counted
from .measurement import measure
from .moments import Moments, moments_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CHUNKS: Final = 48
_FRAME_ROWS: Final = 10_000
_SAMPLE_ROWS: Final = 200_000
_MOST_CATEGORIES: Final = 20_000
_MISSING: Final = frozenset({"", "na", "n/a", "nan", "null", "none"})
_LIMITS: Final = (0.0001, 0.9999)

Frame = list[list[Any]]


class BadData(Exception):
    """The file is not what a baseline can be made of."""


def build_baseline(
    path: Path,
    made: str,
    *,
    leave_out: Sequence[str] = (),
    in_order: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Baseline:
    """Make the baseline of the inputs in a file.

    Args:
        path: ``.csv`` with a heading line, or ``.parquet``.
        made: Time of the building, RFC 3339.
        leave_out: Columns that are no inputs, such as the target.
        in_order: Whether rows are in the order of time.
        seed: Seed of the random sample.
        progress: Is told how many rows were read; every row is read twice.

    Raises:
        BadData: It cannot be used; says why.
        OSError: It cannot be read.
    """
    if in_order and not is_available():
        raise BadData(f"how much healthy data varies cannot be computed: {what_to_install()}")
    names, _ = _open(path)
    unknown = [name for name in leave_out if name not in names]
    if unknown:
        raise BadData(f"{path}: there is no column {unknown[0]!r}; there are {', '.join(names)}")
    if len(set(names)) < len(names):
        raise BadData(f"{path}: two columns have the same name")
    places = [place for place, name in enumerate(names) if name not in leave_out]
    columns = {place: _Column(seed) for place in places}
    rows = 0
    for frame in _frames(path):
        rows += len(frame[0])
        for place, column in columns.items():
            column.look(frame[place])
        progress(len(frame[0]))
    if not rows or not places:
        raise BadData(f"{path}: there are no rows" if places else f"{path}: no column is left")
    for column in columns.values():
        column.fix(rows, CHUNKS if in_order else 0)
    for frame in _frames(path):
        for place, column in columns.items():
            column.count(frame[place])
        progress(len(frame[0]))
    references = {names[place]: column.reference() for place, column in columns.items()}
    return Baseline(references, FROM_FILE, data=_hash(path), made=made)


class _Column:
    """One column on its way through both passes."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._numbers = True
        self._sample: list[NDArray[np.float64]] = []
        self._sampled = 0
        self._share = 1.0
        self._found: Counter[str] = Counter()
        self._moments = Moments()
        self._chunk_rows = 0
        self._looked = self._seen = 0

    def look(self, values: list[Any]) -> None:
        """First pass."""
        first = ~counted(len(values), self._looked)
        self._looked += len(values)
        if self._numbers:
            numbers = _numbers(values)
            if numbers is None:
                self._numbers, self._sample = False, []
            else:
                self._keep(numbers[first])
        # Until the end it may turn out to be categories.
        if len(self._found) <= _MOST_CATEGORIES or not self._numbers:
            self._found.update(map(_text, compress(values, first.tolist())))
            if len(self._found) > 2 * _MOST_CATEGORIES:
                self._found = Counter(dict(self._found.most_common(_MOST_CATEGORIES)))

    def _keep(self, numbers: NDArray[np.float64]) -> None:
        kept = numbers[self._random.random(numbers.size) < self._share]
        self._sample.append(kept)
        self._sampled += kept.size
        while self._sampled > _SAMPLE_ROWS:
            self._share /= 2
            thin = np.concatenate(self._sample)
            thin = thin[self._random.random(thin.size) < 0.5]  # noqa: PLR2004
            self._sample, self._sampled = [thin], thin.size

    def fix(self, rows: int, chunks: int) -> None:
        """Between the passes: the bins."""
        sample = np.concatenate(self._sample) if self._sample else np.empty(0)
        self._bins = number_bins(sample) if self._numbers else category_bins(self._found)
        finite = sample[np.isfinite(sample)]
        self._limits = tuple(np.quantile(finite, _LIMITS).tolist()) if finite.size else ()
        self._counts = np.zeros((max(1, chunks), self._bins.size), np.int64)
        self._chunk_rows = -(-rows // max(1, chunks))

    def count(self, values: list[Any]) -> None:
        """Second pass."""
        start = 0
        while start < len(values):
            chunk, within = divmod(self._seen, self._chunk_rows)
            piece = values[start : start + self._chunk_rows - within]
            second = counted(len(piece), self._seen)
            if isinstance(self._bins, NumberBins):
                numbers = _numbers(piece)
                if numbers is None:
                    raise BadData("the file changed while it was read")
                counts = self._bins.count(numbers[second])
                self._moments = self._moments.merged(moments_of(numbers))
            else:
                counts = self._bins.count(map(_text, compress(piece, second.tolist())))
            self._counts[min(chunk, len(self._counts) - 1)] += counts
            self._seen += len(piece)
            start += len(piece)

    def reference(self) -> Reference:
        """The result."""
        chunks = [one for one in self._counts if one.sum()]
        enough = len(chunks) >= CHUNKS // 2
        varied = measure(chunks, self._bins.exceptional, self._bins.ordered) if enough else None
        return Reference(
            self._bins,
            self._counts.sum(axis=0),
            self._moments,
            variations=varied,
            limits=self._limits,
            fitted=self._seen - int(self._counts.sum()),
        )


def _open(path: Path) -> tuple[list[str], Iterator[list[list[Any]]]]:
    """Names of the columns, and lists of rows."""
    if path.suffix == ".csv":
        rows = _csv_rows(path)
        try:
            return next(rows)[0], rows
        except StopIteration:
            raise BadData(f"{path}: is empty") from None
    if path.suffix == ".parquet":
        return _parquet(path)
    raise BadData(f"{path}: expected a .csv or a .parquet")


def _csv_rows(path: Path) -> Iterator[list[list[str]]]:
    """The heading, then lists of rows."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = CsvRecords(file)
        heading = next(reader, None)
        if heading is None:
            return
        yield [heading]
        rows: list[list[str]] = []
        try:
            for row in reader:
                if len(row) != len(heading):
                    if not row:
                        continue
                    wanted = f"expected {len(heading)} fields"
                    raise BadData(f"{path}:{reader.line_number}: {len(row)} fields, {wanted}")
                rows.append(row)
                if len(rows) == _FRAME_ROWS:
                    yield rows
                    rows = []
        except (csv.Error, UnicodeDecodeError) as error:
            raise BadData(f"{path}: {error}") from error
        if rows:
            yield rows


def _parquet(path: Path) -> tuple[list[str], Iterator[list[list[Any]]]]:
    try:
        import duckdb  # large, and in the extra `analytics` only
    except ImportError:
        raise BadData(f"Parquet needs DuckDB: {install_command('analytics')}") from None
    try:
        found = connect().execute("SELECT * FROM read_parquet(?)", [str(path)])
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise BadData(f"{path}: {reason}") from error
    names = [column[0] for column in found.description or ()]

    def rows() -> Iterator[list[list[Any]]]:
        while piece := found.fetchmany(_FRAME_ROWS):
            yield [list(row) for row in piece]

    return names, rows()


def _frames(path: Path) -> Iterator[Frame]:
    """Columns of some rows at a time."""
    _, pieces = _open(path)
    for piece in pieces:
        yield [list(column) for column in zip(*piece, strict=True)]


def _numbers(values: list[Any]) -> NDArray[np.float64] | None:
    """As numbers, missing ones NaN; ``None`` if one is none."""
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError):
        pass
    try:
        return np.array([float("nan") if _is_missing(one) else float(one) for one in values])
    except (TypeError, ValueError):
        return None


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in _MISSING)


def _text(value: Any) -> str:
    return "" if _is_missing(value) else str(value)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
