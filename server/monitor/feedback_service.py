"""What the monitor makes of a body of labels: reads it, keeps it, says what became of it."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.feedback.label import LabelError, parse_each

from .label_body import read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.monitoring.feedback.store import FeedbackStore
    from penstock.monitoring.mended import Mended

LOG = logging.getLogger("penstock.truth")

#: Labels in one request.
MAX_LABELS: Final = 10_000
#: Of those that are refused, so many are told of.
MAX_PROBLEMS: Final = 100


class FeedbackService:
    """Used in the working thread of the monitor.

    Args:
        store: Keeps labels.
        clock: Unix seconds.
    """

    def __init__(self, store: Mended[FeedbackStore], clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    def answer(self, body: bytes, *, packed: bool, partial: bool = False) -> dict[str, Any]:
        """Keep the labels of a body; they are on the disk when this returns.

        Args:
            body: JSON, or msgpack.
            packed: Whether it is msgpack.
            partial: Whether to keep those that are understood if others are not.

        Returns:
            ``outcomes``, or ``invalid`` with what is wrong with the body, or ``unavailable``.
        """
        now = self._clock()
        try:
            content = read_body(body, MAX_LABELS, packed=packed)
        except ValueError as error:
            return {"invalid": str(error)}
        try:
            labels, errors = parse_each(content, now, MAX_LABELS)
        except LabelError as error:
            return {"invalid": str(error)}
        if errors and not partial:
            where = f"labels[{errors[0].item}]: " if isinstance(content, list) else ""
            return {"invalid": f"{where}{errors[0]}"}
        try:
            outcomes: Mapping[str, int] = (
                self._store.use(lambda store: store.feedback(labels, now)) if labels else {}
            )
        except (sqlite3.Error, OSError) as error:
            LOG.error("labels cannot be kept: %s", error)  # noqa: TRY400  one line says it
            return {"unavailable": f"labels cannot be kept: {error}"}
        except Exception:  # one body must not take the connection of all others along
            LOG.exception("labels cannot be kept")
            return {"unavailable": "labels cannot be kept; see the server's log"}
        told: dict[str, Any] = {"accepted": len(labels), **outcomes}
        if partial:
            told["refused"] = len(errors)
            told["problems"] = [
                {"item": one.item, "problem": str(one)} for one in errors[:MAX_PROBLEMS]
            ]
        return {"outcomes": told}
