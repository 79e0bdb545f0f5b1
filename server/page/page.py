"""A page for people: one HTML document that needs nothing else, to look at, mail or print.

    page = Page("Rollout churn-7", "version 4 in place of 3")
    section = page.section("Now")
    section.figures(Figure("phase", "canary 5 %", "since 12:04 UTC", "good"))
    section.table(["arm", "requests", "errors"], [["stable", 10_412, 3], ["canary", 531, 0]])
    section.add(line_chart("Error ratio", [Series("stable", times, ratios)], unit="%"))
    text = page.render(footer="made 2031-05-01 12:30:00 UTC")

All text is escaped. There is no script; nothing is fetched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .markup import Html, element, join
from .scale import number
from .style import SECURITY_POLICY, STYLE

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        label: What it is.
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
        self._parts: list[Html] = []

    def text(self, *words: str) -> None:
        """A paragraph; pieces may be `markup.link`, `markup.code`, `markup.badge`."""
        self._parts.append(element("p", *words))

    def heading(self, text: str) -> None:
        """A smaller heading within the section."""
        self._parts.append(element("h3", text))

    def callout(self, text: str, tone: str = "") -> None:
        """A sentence that must be seen."""
        self._parts.append(element("div", text, class_=f"callout {tone}".strip()))

    def figures(self, *figures: Figure) -> None:
        """Key figures side by side."""
        boxes = [
            element(
                "div",
                element("dt", one.label),
                element("dd", written(one.value)),
                element("dd", one.note, class_="note") if one.note else None,
                class_=one.tone or None,
            )
            for one in figures
        ]
        self._parts.append(element("dl", *boxes, class_="figures"))

    def table(
        self, headers: Sequence[str], rows: Sequence[Sequence[Value]], caption: str = ""
    ) -> None:
        """A table.

        Args:
            headers: One per column.
            rows: Cells are text, figures, ``None``, or `Html` such as `chart.sparkline` and
                `markup.badge`; up to `MAX_ROWS`.
            caption: Above it.
        """
        if len(rows) > MAX_ROWS:
            caption = f"{caption} (the first {MAX_ROWS} of {len(rows)})".strip()
            rows = rows[:MAX_ROWS]
        kinds = [_kind(column) for column in _columns(len(headers), rows)]
        head = [
            element("th", title, class_=kind, scope="col")
            for title, kind in zip(headers, kinds, strict=True)
        ]
        body = [
            element("tr", *[_cell(row, index, kind) for index, kind in enumerate(kinds)])
            for row in rows
        ]
        table = element(
            "table",
            element("caption", caption) if caption else None,
            element("thead", element("tr", *head)),
            element("tbody", *body),
        )
        self._parts.append(element("div", table, class_="scroll"))

    def add(self, *charts: Html) -> None:
        """Charts, one below the other."""
        self._parts.extend(charts)

    def pair(self, *charts: Html) -> None:
        """Charts side by side where there is room: many small ones."""
        self._parts.append(element("div", *charts, class_="pair"))

    def details(self, summary: str, *content: Html) -> None:
        """Something that is folded away until somebody wants it."""
        self._parts.append(element("details", element("summary", summary), *content))

    def typed(self, text: str) -> None:
        """Commands or output, as they are."""
        self._parts.append(element("pre", text))

    def render(self) -> Html:
        """The section as markup."""
        return element("section", element("h2", self.title, id=self.anchor), *self._parts)


class Page:
    """A document with a title and sections.

    Args:
        title: Of the document and its first heading.
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
            footer: When and from what it was made.
        """
        many = len(self._sections) > 2  # noqa: PLR2004 - few need no list
        links = [element("a", one.title, href=f"#{one.anchor}") for one in self._sections]
        head = element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=SECURITY_POLICY),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("link", rel="icon", href="data:,"),
            element("title", self._title),
            element("style", Html(STYLE)),
        )
        body = element(
            "body",
            element("h1", self._title),
            element("p", self._subtitle, class_="dim") if self._subtitle else None,
            element("nav", *links) if many else None,
            element("main", *[one.render() for one in self._sections]),
            element("footer", footer) if footer else None,
        )
        return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


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
    words = (word for one in column for word in written(one).split() if not isinstance(one, Html))
    return "s" if all(len(word) <= _SHORT for word in words) else None


def _is_figure(column: Sequence[Value]) -> bool:
    known = [one for one in column if one is not None]
    return bool(known) and all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in known
    )


def _cell(row: Sequence[Value], index: int, kind: str | None) -> Html:
    value = row[index] if index < len(row) else None
    return element("td", join(written(value)), class_=kind)
