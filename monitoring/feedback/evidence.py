"""Counts of labels by arm of a rollout, read from ``truth.db`` by another process."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from .outputs import REGRESSION
from .schema import FEEDBACK_FILE, open_to_read

if TYPE_CHECKING:
    from pathlib import Path

#: The newest of several labels of a prediction counts, from any caller.
_COUNT: Final = (
    'SELECT count(*), total("right" = 0) FROM (SELECT "right", max(label_time) FROM labels'
    " WHERE slot = ? AND predicted_at >= ? AND loss IS NOT NULL GROUP BY key)"
)
_SLOTS: Final = "SELECT id, version, arm, kind FROM slots WHERE model = ? AND arm != ''"


class Labelled(NamedTuple):
    """Labelled predictions of one arm, and the wrong ones among them."""

    labelled: int
    wrong: int


def arm_labels(directory: Path, model: str, since: float) -> dict[tuple[str, str], Labelled]:
    """Labelled predictions of a model by version and arm.

    Only requests that a split has assigned count: a request that names a version is no evidence.
    Numbers are neither right nor wrong, so that regression has no counts here.

    Args:
        directory: ``STATE_DIR/monitor``.
        model: Name of the model.
        since: Unix seconds; earlier predictions do not count.

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
            row = connection.execute(_COUNT, (slot["id"], since)).fetchone()
            found[slot["version"], slot["arm"]] = Labelled(row[0], int(row[1]))
    return found
