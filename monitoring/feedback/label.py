"""A label: the true value of one prediction."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.text import is_text

if TYPE_CHECKING:
    from .options import Value

#: The same characters and length as a request id has in a header.
_ID: Final = re.compile(r"[!-~]{1,128}")
#: Unix seconds as a text; a date without dashes has fewer digits.
_SECONDS: Final = re.compile(r"\d{9,11}(\.\d*)?", re.ASCII)
_WHOLE: Final = re.compile(r"[+-]?\d{1,15}(\.0*)?", re.ASCII)
_SOURCE: Final = re.compile(r"[\w.@+:/-]{0,64}")
#: What a label may say.
KEYS: Final = ("request_id", "inference_id", "index", "label", "label_time", "source", "unit")
_MAX_TEXT: Final = 256
_MAX_UNIT: Final = 128
MAX_INDEX: Final = (1 << 31) - 1
#: Until the year 3000: a time in milliseconds is taken for a mistake.
_MAX_TIME: Final = 32_503_680_000.0


class LabelError(ValueError):
    """One of the labels is not one; `item` is its place, from 0."""

    def __init__(self, item: int, message: str) -> None:
        super().__init__(message)
        self.item = item


@dataclass(frozen=True, slots=True)
class Label:
    """The label of one row of a prediction.

    Attributes:
        request_id: Request id of the prediction, as in its ``x-request-id``.
        label: The true class or number.
        time: Unix seconds at which the true value was known.
        index: Row of the request.
        source: Source of the label; labels of different sources stand side by side.
        unit: The subject of the prediction, such as a user: labels of one unit resemble
            each other. If it is empty, the request is the unit.
    """

    request_id: str
    label: Value
    time: float
    index: int = 0
    source: str = ""
    unit: str = ""


def parse_each(content: Any, now: float, limit: int) -> tuple[list[Label], list[LabelError]]:
    """The labels of a request body that are understood, and what is wrong with the others.

    Raises:
        LabelError: There are more than `limit`.
    """
    items = content if isinstance(content, list) else [content]
    if len(items) > limit:
        raise LabelError(limit, f"{len(items)} labels at once, expected at most {limit}")
    labels, errors = [], []
    for number, item in enumerate(items):
        try:
            labels.append(parse_label(item, number, now))
        except LabelError as error:
            errors.append(error)
    return labels, errors


def parse_label(item: Any, number: int, now: float) -> Label:
    """One label; `number` is its place in the list.

    Raises:
        LabelError: It is not understood.
    """
    if not isinstance(item, dict):
        raise LabelError(number, f"a label is {_show(item)}, expected an object with {KEYS[0]}")
    for key in item:
        if key not in KEYS:
            raise LabelError(number, f"unknown key {_show(key)}, known are {', '.join(KEYS)}")
    if "label" not in item:
        raise LabelError(number, "label is missing")
    return Label(
        _request_id(item, number),
        _label(item["label"], number),
        _time(item.get("label_time"), number, now),
        _index(item.get("index"), number),
        _source(item.get("source"), number),
        _unit(item.get("unit"), number),
    )


def class_name(value: object) -> str:
    """One spelling for a class: 1, 1.0, ``True``, ``"1"`` and ``b"1"`` are the same one."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _request_id(item: dict[str, Any], number: int) -> str:
    given = [item[key] for key in KEYS[:2] if item.get(key) is not None]
    if len(given) != 1:
        problem = "both are given" if given else "neither is given"
        raise LabelError(number, f"expected request_id or inference_id, {problem}")
    value = whole_number(given[0])
    text = given[0] if value is None or isinstance(given[0], str) else str(value)
    if not isinstance(text, str) or not _ID.fullmatch(text.strip()):
        raise LabelError(
            number, f"request_id is {_show(given[0])}, expected 1 to 128 visible ASCII characters"
        )
    return text.strip()


def whole_number(value: Any) -> int | None:
    """A whole number, also as a text or a float as tables have them: ``3``, ``"3"``, ``3.0``."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) else None


def _label(value: Any, number: int) -> Value:
    if type(value).__module__ == "numpy" and value.ndim == 0:
        value = value.item()
    if isinstance(value, str):
        if value.strip() and len(value) <= _MAX_TEXT and is_text(value):
            return value
    elif isinstance(value, bool):
        return value
    elif isinstance(value, int):
        # Beyond that a float is no longer exact, and neither is the comparison.
        if abs(value) <= 1 << 53:
            return value
    elif isinstance(value, float) and math.isfinite(value):
        return value
    raise LabelError(
        number,
        f"label is {_show(value)}, expected a finite number, true, false, or a text of 1 to "
        f"{_MAX_TEXT} characters",
    )


def _index(value: Any, number: int) -> int:
    if value is None:
        return 0
    row = whole_number(value)
    if row is None or not 0 <= row <= MAX_INDEX:
        raise LabelError(number, f"index is {_show(value)}, expected the row, from 0")
    return row


def _source(value: Any, number: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not _SOURCE.fullmatch(value):
        raise LabelError(
            number,
            f"source is {_show(value)}, expected at most 64 letters, digits and . _ @ + : / -",
        )
    return value


def _unit(value: Any, number: int) -> str:
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or len(value) > _MAX_UNIT or not is_text(value):
        raise LabelError(
            number, f"unit is {_show(value)}, expected a text of at most {_MAX_UNIT} characters"
        )
    return value


def _time(value: Any, number: int, now: float) -> float:
    if value is None:
        return now
    if isinstance(value, str) and _SECONDS.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment.timestamp()
        if moment is not None:
            return moment.replace(tzinfo=UTC).timestamp()
    elif not isinstance(value, bool) and isinstance(value, int | float) and 0 <= value <= _MAX_TIME:
        return float(value)
    raise LabelError(
        number, f"label_time is {_show(value)}, expected Unix seconds or ISO 8601 (UTC if bare)"
    )


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 64 else text[:60] + "…"  # noqa: PLR2004  enough to recognise it
