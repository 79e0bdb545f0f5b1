"""Finds the segments of the rows of samples, in the monitor; the names outlive its process."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from penstock.monitoring.files.atomic_file import replace_file
from penstock.monitoring.metrics.derived import names_of
from penstock.monitoring.segments.field import column_of, value_name
from penstock.monitoring.segments.frequent_names import MISSING_CODE, FrequentNames
from penstock.monitoring.segments.segment_rows import SegmentRows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from penstock.monitoring.segments.field import SegmentField

    from .samples import BatchSample

LOG = logging.getLogger("penstock.monitor")

#: Below ``STATE_DIR/monitor``.
FILE: Final = "segments.json"
#: Fields of all models whose names are kept; the rows of others are in no segment.
MOST_FIELDS: Final = 1024
_MAX_BYTES: Final = 16 << 20


class Segmenter:
    """Adds the segments of declared fields to samples. One thread.

    Args:
        path: File of the names; ``None`` keeps them in memory only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._names = {} if path is None else _read(path)
        self._written = self._number

    def extend(self, samples: Sequence[BatchSample]) -> Sequence[BatchSample]:
        """The samples with the segments of their rows."""
        if not any(sample.segment_fields for sample in samples):
            return samples
        extended = [self._extended(sample) for sample in samples]
        if self._number != self._written:
            self._write()
        return extended

    @property
    def _number(self) -> int:
        return sum(len(one.names) for one in self._names.values())

    def _extended(self, sample: BatchSample) -> BatchSample:
        if sample.error or not sample.rows:
            return sample
        arrays = dict(zip(sample.input_names, sample.inputs, strict=True))
        headers = iter(sample.header_segments)
        found = [
            self._rows_of(sample, one, arrays)
            if one.tensor
            else self._rows_of_header(sample, one, next(headers, None))
            for one in sample.segment_fields
        ]
        return replace(sample, segments=tuple(one for one in found if one is not None))

    def _rows_of(
        self, sample: BatchSample, field: SegmentField, arrays: dict[str, Any]
    ) -> SegmentRows | None:
        names = self._names_of(sample.model, field.name)
        # Figures stand for rows too large to travel, whose values nobody here knows.
        if names is None or names_of(field.tensor)[0] in arrays:
            return None
        values = column_of(field, arrays.get(field.tensor), sample.rows)
        if values is None:
            codes = np.full(sample.rows, MISSING_CODE, np.int64)
            return SegmentRows(field.name, names.names, codes)
        # NaN is unlike itself, and would be a value of its own in each row.
        values = [None if one != one else one for one in values]  # noqa: PLR0124
        known = {
            value: names.code(value_name(np.nan if value is None else value), rows)
            for value, rows in Counter(values).items()
        }
        codes = np.fromiter((known[one] for one in values), np.int64, len(values))
        return SegmentRows(field.name, names.names, codes)

    def _rows_of_header(
        self, sample: BatchSample, field: SegmentField, own: Sequence[str] | None
    ) -> SegmentRows | None:
        """All rows of a request are in the segment of its header."""
        names = self._names_of(sample.model, field.name)
        if names is None or own is None:
            return None
        rows = np.diff(np.asarray(sample.offsets))
        totals: Counter[str] = Counter()
        for name, count in zip(own, rows.tolist(), strict=True):
            totals[name] += count
        known = {name: names.code(name, count) for name, count in totals.items()}
        codes = np.fromiter((known[one] for one in own), np.int64, len(own))
        return SegmentRows(field.name, names.names, np.repeat(codes, rows))

    def _names_of(self, model: str, field: str) -> FrequentNames | None:
        known = self._names.get((model, field))
        if known is None and len(self._names) < MOST_FIELDS:
            known = self._names[model, field] = FrequentNames()
        return known

    def _write(self) -> None:
        """Keep the names; without a disk they are in memory."""
        self._written = self._number
        if self._path is None:
            return
        content = [[*key, one.names[2:]] for key, one in self._names.items()]
        try:
            replace_file(self._path, json.dumps(content).encode(), 0o600, synced=False)
        except OSError as error:
            LOG.warning("the names of segments cannot be kept: %s", error)


def _read(path: Path) -> dict[tuple[str, str], FrequentNames]:
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_BYTES))
        return {
            (str(model), str(field)): FrequentNames(map(str, names))
            for model, field, names in content
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        LOG.warning("the names of segments cannot be read: %s", error)
        return {}
