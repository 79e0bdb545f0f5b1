"""A page for people: one HTML document that needs nothing else, to look at, mail or print.

    page = Page("Rollout churn-7", "version 4 in place of 3")
    section = page.section("Now")
    section.figures(Figure("phase", "canary 5 %", "since 12:04 UTC", "good"))
    section.table(["arm", "requests", "errors"], [["stable", 10_412, 3], ["canary", 531, 0]])
    section.add(line_chart("Error ratio", [Series("stable", times, ratios)], unit="%"))
    text = page.render(footer="made 2031-05-01 12:30:00 UTC")

All text is escaped. There is no script; nothing is fetched. The markup is in ``templates/``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from .renderer import render
from .scale import number
from .style import SECURITY_POLICY, STYLE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from markupsafe import Markup

    from .form import Form

#: Rows of one table; the caption says when there are more.
MAX_ROWS: Final = 1000
#: Letters of a word that a column has room for.
_SHORT: Final = 24

#: What a cell may be; figures are written for people and set to the right.
Value = str | float | bool | None


@dataclass(frozen=True, slots=True)
class Figure:
    """A key figure in a box.

    Attributes:
        label: Name of the figure.
        value: Text, or a figure that is written for people.
        note: Small words below: since when, out of how many.
        tone: ``good``, ``warning``, ``bad`` or nothing.
    """

    label: str
    value: Value
    note: str = ""
    tone: str = ""


class Section:
    """A part of a page under a heading; made by `Page.section`."""

    def __init__(self, title: str, anchor: str) -> None:
        self.title = title
        self.anchor = anchor
        #: Each with its kind, a macro of ``parts.html``, and what that macro shows.
        self.parts: list[dict[str, Any]] = []

    def text(self, *words: str) -> None:
        """A paragraph; a piece may be a `markup.badge`."""
        self._add("text", words=words)

    def heading(self, text: str) -> None:
        """A smaller heading within the section."""
        self._add("heading", words=text)

    def callout(self, text: str, tone: str = "") -> None:
        """A sentence that must be seen."""
        self._add("callout", words=text, tone=tone)

    def figures(self, *figures: Figure) -> None:
        """Key figures side by side."""
        self._add("figures", boxes=[replace(one, value=written(one.value)) for one in figures])

    def table(
        self,
        headers: Sequence[str],
        rows: Sequence[Sequence[Value]],
        caption: str = "",
        *,
        sentences: Collection[str] = (),
    ) -> None:
        """A table.

        Args:
            headers: One per column.
            rows: Cells are text, figures, ``None``, or markup such as `chart.sparkline` and
                `markup.badge`; up to `MAX_ROWS`.
            caption: Above it.
            sentences: Headers of the columns that hold several words. A table that has some is
                wide: on a narrow screen each row is shown as a list.
        """
        if len(rows) > MAX_ROWS:
            caption = f"{caption} (the first {MAX_ROWS} of {len(rows)})".strip()
            rows = rows[:MAX_ROWS]
        kinds = [_kind(column) for column in _columns(len(headers), rows)]
        kinds = [
            "t" if title in sentences else kind for title, kind in zip(headers, kinds, strict=True)
        ]
        cells = [[_cell(row, index) for index in range(len(headers))] for row in rows]
        part = {"headers": headers, "kinds": kinds, "rows": cells, "caption": caption}
        self._add("wide_table" if sentences else "table", **part)

    def add(self, *charts: Markup) -> None:
        """Charts, one below the other, or what `markup.side_by_side` makes of some."""
        self._add("charts", charts=charts)

    def details(self, summary: str, *content: Markup) -> None:
        """Something that is folded away until somebody wants it."""
        self._add("details", summary=summary, content=content)

    def form(self, form: Form) -> None:
        """What a reader can do; for pages of a server that carries it out."""
        self._add("form", form=form)

    def typed(self, text: str) -> None:
        """Commands or output, as they are."""
        self._add("typed", words=text)

    def _add(self, kind: str, **content: object) -> None:
        self.parts.append({"kind": kind, **content})


class Page:
    """A document with a title and sections.

    Args:
        title: Title of the document and its first heading.
        subtitle: One line below it.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self._title = title
        self._subtitle = subtitle
        self._sections: list[Section] = []

    def section(self, title: str) -> Section:
        """Begin a section after those that there are."""
        words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        section = Section(title, f"{words or 'section'}-{len(self._sections) + 1}")
        self._sections.append(section)
        return section

    def render(self, footer: str = "") -> str:
        """The whole document.

        Args:
            footer: The time and the source of the page.
        """
        return render("page.html", policy=SECURITY_POLICY, **self.content(footer))

    def content(self, footer: str = "") -> dict[str, Any]:
        """What ``page.html``, and each template that extends it, shows."""
        return {
            "title": self._title,
            "subtitle": self._subtitle,
            "sections": self._sections,
            "footer": footer,
            "style": STYLE,
        }


def written(value: Value) -> str:
    """A value as people read it."""
    if value is None or isinstance(value, str):
        return "\N{EN DASH}" if value is None else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value)


def _columns(count: int, rows: Sequence[Sequence[Value]]) -> list[list[Value]]:
    return [[row[index] for row in rows if index < len(row)] for index in range(count)]


def _kind(column: Sequence[Value]) -> str | None:
    """How a column is set: ``n`` figures, ``s`` short words that are not broken."""
    if _is_figure(column):
        return "n"
    words = (word for one in column if not _is_markup(one) for word in written(one).split())
    return "s" if all(len(word) <= _SHORT for word in words) else None


def _is_figure(column: Sequence[Value]) -> bool:
    known = [one for one in column if one is not None]
    return bool(known) and all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in known
    )


def _is_markup(value: Value) -> bool:
    return hasattr(value, "__html__")


def _cell(row: Sequence[Value], index: int) -> str:
    return written(row[index] if index < len(row) else None)
