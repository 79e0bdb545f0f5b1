"""Every chart there is, in SVG that stands in a page: ``section.add(line_chart(...))``.

    line_chart       lines over time or figures, with bands, steps, thresholds and marks
    histogram_chart  two distributions over the same bins, baseline and now
    bar_chart        lying bars per feature or category, one or several series
    share_bar        one bar that is a whole, divided
    timeline         what happened when: spans and dots
    sparkline        a small line for a cell of a table

Figures may be missing (``None``) or not numbers: lines break there. The number of points, bars and
events drawn is bounded. Colours follow the page's light or dark; `tone` is ``good``, ``warning``,
``bad``, ``muted``, or nothing for the next colour.
"""

from __future__ import annotations

from .bars import bar_chart, histogram_chart
from .lines import Mark, Series, Threshold, line_chart
from .shares import share_bar
from .timeline import Event, sparkline, timeline

__all__ = [
    "Event",
    "Mark",
    "Series",
    "Threshold",
    "bar_chart",
    "histogram_chart",
    "line_chart",
    "share_bar",
    "sparkline",
    "timeline",
]
