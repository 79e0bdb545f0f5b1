"""The answer of a query over the prediction log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .columns import FIXED

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The table of all models together, unless a model is called so.
ALL: Final = "predictions"
#: Its columns: the model, and what every model has.
ALL_COLUMNS: Final = (("model", "TEXT"), *FIXED, ("digest", "TEXT"))
TIMEOUT_SECONDS: Final = 60.0


class QueryFailed(Exception):
    """The query cannot be answered; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a query.

    Attributes:
        columns: Names.
        rows: At most as many rows as were wanted.
        more: Whether there are more.
        notes: Remarks on the answer, for people.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    more: bool
    notes: Sequence[str]
