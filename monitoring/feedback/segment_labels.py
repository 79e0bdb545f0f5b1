"""Counts of labels by arm of a rollout and by segment, read from ``truth.db``."""

from __future__ import annotations

import math
from contextlib import closing
from typing import TYPE_CHECKING, Final

from penstock.monitoring.segments.segment_rows import segment_name

from .evidence import LATEST, Labelled
from .outputs import REGRESSION
from .schema import FEEDBACK_FILE, has_column, open_to_read
from .segment_ids import read_segments

if TYPE_CHECKING:
    from pathlib import Path

#: As `evidence.arm_labels` counts; a request is in the segment of its first row.
_COUNT: Final = (
    "SELECT segment, count(*), total(bad) FROM (SELECT segment, min(idx), total(wrong) > 0 AS bad"
    ' FROM (SELECT request_id, idx, segment, "right" = 0 AS wrong, max(label_time) FROM labels'
    " WHERE slot = ? AND predicted_at >= ? AND predicted_at < ? AND loss IS NOT NULL GROUP BY key)"
    " GROUP BY request_id) GROUP BY segment"
)
_SLOTS: Final = "SELECT id, version, arm, kind FROM slots WHERE model = ? AND arm != ''"


def segment_labels(
    directory: Path, model: str, since: float, until: float = math.inf
) -> dict[tuple[str, str], dict[str, Labelled]]:
    """Labelled requests of a model by version and arm, and by name of the segment.

    Args:
        directory: ``STATE_DIR/monitor``.
        model: Name of the model.
        since: Unix seconds; predictions before that do not count.
        until: The same for predictions from then on.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    connection = open_to_read(directory / FEEDBACK_FILE)
    if connection is None:
        return {}
    found: dict[tuple[str, str], dict[str, Labelled]] = {}
    with closing(connection):
        if not has_column(connection, "segment"):
            return {}
        names = read_segments(connection)
        for slot in connection.execute(_SLOTS, (model,)).fetchall():
            if slot["kind"] == REGRESSION:
                continue
            sums = found.setdefault((slot["version"], slot["arm"]), {})
            span = slot["id"], since, min(until, LATEST)
            for number, labelled, wrong in connection.execute(_COUNT, span):
                for field, value in names.get(number or 0, {}).items():
                    name = segment_name(field, value)
                    before = sums.get(name, Labelled(0, 0))
                    sums[name] = Labelled(before.labelled + labelled, before.wrong + int(wrong))
    return found
