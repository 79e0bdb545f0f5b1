"""Counts of labels by arm of a rollout, read from ``truth.db`` by another process."""

from __future__ import annotations

import math
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from .outputs import REGRESSION
from .schema import FEEDBACK_FILE, open_to_read

if TYPE_CHECKING:
    from pathlib import Path

#: The newest of several labels of a prediction counts, from any caller. Rows of one request are in
#: one arm together: they count once, as wrong if any of them is.
_COUNT: Final = (
    "SELECT count(*), total(bad) FROM (SELECT max(wrong) AS bad FROM (SELECT request_id,"
    ' "right" = 0 AS wrong, max(label_time) FROM labels WHERE slot = ? AND predicted_at >= ?'
    " AND predicted_at < ? AND loss IS NOT NULL GROUP BY key) GROUP BY request_id)"
)
_SLOTS: Final = "SELECT id, version, arm, kind FROM slots WHERE model = ? AND arm != ''"


#: Later than any prediction, Unix seconds; infinity is no number of SQLite.
LATEST: Final = 1e15


class Labelled(NamedTuple):
    """Of one arm: requests whose truth is known, and those of them that were answered wrongly."""

    labelled: int
    wrong: int


def arm_labels(
    directory: Path, model: str, since: float, until: float = math.inf
) -> dict[tuple[str, str], Labelled]:
    """Labelled requests of a model by version and arm.

    Only requests that a split has assigned count: a request that names a version is no evidence.
    Numbers are neither right nor wrong, so that regression has no counts here.

    Args:
        directory: ``STATE_DIR/monitor``.
        model: Name of the model.
        since: Unix seconds; predictions before that do not count, whenever their labels come.
        until: The same for predictions from then on.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    connection = open_to_read(directory / FEEDBACK_FILE)
    if connection is None:
        return {}
    found = {}
    with closing(connection):
        for slot in connection.execute(_SLOTS, (model,)).fetchall():
            if slot["kind"] == REGRESSION:
                continue
            row = connection.execute(_COUNT, (slot["id"], since, min(until, LATEST))).fetchone()
            found[slot["version"], slot["arm"]] = Labelled(row[0], int(row[1]))
    return found
