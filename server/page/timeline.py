"""What happened when: one row per thing, as a span or a dot; and the line that fits in a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .frame import Frame, label, text_at
from .renderer import render
from .scale import Scale, extent, finite, moment, thin
from .shape import Shape, shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

#: Rows of a timeline; of more events the latest are drawn.
MAX_EVENTS: Final = 40

_ROW: Final = 22
_SPARK_WIDTH: Final = 120
_SPARK_HEIGHT: Final = 24
_SPARK_POINTS: Final = 120


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        time: Unix seconds when it happened or began.
        label: Short words, to the left of it.
        until: Unix seconds when it was over; ``None`` for a moment.
        tone: ``good``, ``warning``, ``bad``, ``muted`` or nothing.
        detail: More words, under the pointer.
    """

    time: float
    label: str
    until: float | None = None
    tone: str = ""
    detail: str = ""


def timeline(title: str, events: Sequence[Event], *, description: str = "") -> Markup:
    """Events from top to bottom in the order given, over one axis of time in UTC.

    Args:
        title: Name of the shown figures.
        events: Phases of a rollout, episodes of drift; of more than `MAX_EVENTS` the last.
        description: The same in a sentence; made from the events by default.
    """
    if len(events) > MAX_EVENTS:
        title = f"{title} (the last {MAX_EVENTS} of {len(events)})"
    events = events[-MAX_EVENTS:]
    said = description or "; ".join(f"{one.label}, {moment(one.time)}" for one in events)
    frame = Frame(title, said, 52 + _ROW * max(1, len(events)))
    frame.left = 16 + 6.6 * max((len(label(one.label)) for one in events), default=10)
    ends = [time for one in events for time in (one.time, one.until) if time is not None]
    across = frame.times(min(ends, default=0.0), max(ends, default=1.0))
    for row, event in enumerate(events):
        frame.draw(*_row(event, frame, across, frame.top - 8 + row * _ROW))
    return frame.render("timeline")


def sparkline(
    values: Sequence[float | None],
    *,
    threshold: float | None = None,
    tone: str = "",
    description: str = "",
) -> Markup:
    """A line without axes, as high as a row of a table.

    Args:
        values: In order, at even distances; ``None`` breaks the line.
        threshold: A level, drawn dashed.
        tone: ``good``, ``warning``, ``bad`` or nothing.
        description: Read out, and shown under the pointer.
    """
    kept = [values[index] for index in thin(values, _SPARK_POINTS)]
    low, high = extent([*kept, threshold] if threshold is not None else kept)
    up = Scale(low, high, _SPARK_HEIGHT - 3, 3)
    step = (_SPARK_WIDTH - 6) / max(1, len(kept) - 1)
    path, pen = "", "M"
    last: tuple[float, float] | None = None
    for index, value in enumerate(kept):
        if value is None or not finite(value):
            pen = "M"
            continue
        last = 3 + index * step, up(value)
        path += f"{pen}{last[0]:.1f} {last[1]:.1f}"
        pen = "L"
    tone = tone or "c0"
    parts = []
    if threshold is not None:
        y = up(threshold)
        parts.append(shape("line", x1=0, y1=y, x2=_SPARK_WIDTH, y2=y, tone="level muted"))
    if last is not None:
        parts.append(shape("path", d=path, tone=f"line {tone}"))
        parts.append(shape("circle", cx=last[0], cy=last[1], r=2.5, tone=f"dot {tone}"))
    return render(
        "sparkline.html",
        description=description,
        width=_SPARK_WIDTH,
        height=_SPARK_HEIGHT,
        shapes=parts,
    )


def _row(event: Event, frame: Frame, across: Scale, y: float) -> list[Shape]:
    tone = event.tone or "c0"
    words = f"{event.label}\n{moment(event.time)}"
    if event.until is not None:
        words += f" to {moment(event.until)}"
    tip = f"{words}\n{event.detail}".strip()
    x = across(event.time)
    name = text_at(frame.left - 10, y + 12, event.label, "end")
    track = shape("line", x1=frame.left, y1=y + 8.0, x2=frame.right, y2=y + 8.0, tone="grid")
    if event.until is None:
        return [track, name, shape("circle", tip, cx=x, cy=y + 8.0, r=5, tone=f"dot {tone}")]
    width = max(across(event.until) - x, 3.0)
    span = shape("rect", tip, x=x, y=y + 1.0, width=width, height=14, rx=3, tone=f"bar {tone}")
    return [track, name, span]
