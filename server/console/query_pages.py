"""The page on which the prediction log is asked by SQL: saved queries, a table, a chart, files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.responses import Response

from penstock.server.page.chart import Series, bar_chart, line_chart
from penstock.server.page.form import Field, Form
from penstock.server.page.markup import link
from penstock.server.page.page import Page

from .admin_api import Refused
from .routes import Routes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup
    from starlette.requests import Request

    from penstock.server.page.page import Section

    from .visit import Visit

_FORMATS: Final = ("csv", "json", "parquet")
_EXAMPLE: Final = (
    "select model, version, count(*) as predictions, avg(latency) * 1000 as ms\n"
    "from predictions group by model, version order by model, version"
)
_EFFECT: Final = (
    "One SELECT over the prediction log, in a process of its own: at most 1000 rows, 30 seconds. "
    "Each model is a table; predictions has what all of them have."
)
_EXPORT: Final = "At most 100,000 rows, as a file. That it was taken, and why, is on record."
#: Series and bars of a chart.
_MOST_SERIES: Final = 6
_MOST_BARS: Final = 40
_FILE_HEADERS: Final = ("content-disposition", "x-content-type-options", "content-type")


def query_routes() -> Routes:
    """The page and its forms."""
    return Routes(
        pages={"/query": _show},
        forms={
            "/query": _run,
            "/query/export": _export,
            "/query/save": _save,
            "/query/forget": _forget,
        },
    )


async def _show(request: Request, visit: Visit) -> Response:
    queries = (await visit.api.get("admin", "queries"))["queries"]
    name = request.query_params.get("saved", "")
    chosen = next((one for one in queries if one["name"] == name), None)
    sql = _EXAMPLE if chosen is None else chosen["sql"]
    page, _ = _page(sql, queries, visit, name if chosen else "")
    return visit.answer(page, "Predictions")


async def _run(request: Request, visit: Visit) -> Response:
    request.state.after = ("query",)
    sql = request.state.fields.get("sql", "")
    queries = (await visit.api.get("admin", "queries"))["queries"]
    page, section = _page(sql, queries, visit)
    try:
        found = await visit.api.ask("POST", ("admin", "predictions", "query"), {"sql": sql})
    except Refused as refusal:
        section.callout(refusal.message, "bad")
        return visit.answer(page, "Predictions", refusal.status)
    for one in found["notes"]:
        section.callout(one, "warning")
    answer_table(section, found, visit)
    chart = chart_of(found["columns"], found["rows"])
    if chart is not None:
        section.add(chart)
    add_exports(section, sql, visit)
    return visit.answer(page, "Predictions")


def _page(
    sql: str, queries: Sequence[Mapping[str, Any]], visit: Visit, name: str = ""
) -> tuple[Page, Section]:
    """The page, and the section of the answer."""
    assert visit.session is not None
    page = Page("SQL over the prediction log", "each model is a table")
    section = page.section("Query")
    csrf = Field("csrf", value=visit.session.csrf)
    box = Field("sql", "SELECT", value=sql, lines=6, required=True)
    section.form(Form(visit.at("query"), "Run", _EFFECT, (box, csrf), open=True))
    section.form(
        Form(
            visit.at("query", "save"),
            "Save",
            "The query is kept for everybody who may read the log.",
            (Field("name", "Name", value=name, required=True), _hidden(sql), csrf),
        )
    )
    answer = page.section("Answer")
    saved = page.section("Saved queries")
    if not queries:
        saved.text("None.")
    for one in queries:
        where = f"{visit.at('query')}?{urlencode({'saved': one['name']})}"
        saved.text(link(one["name"], where), f" by {one['by']}")
    if queries:
        names = tuple(one["name"] for one in queries)
        field = Field("name", "Query", options=names)
        form = Form(visit.at("query", "forget"), "Forget a query", "", (field, csrf), "bad")
        saved.form(form)
    return page, answer


def _hidden(sql: str) -> Field:
    return Field("sql", value=sql)


async def _save(request: Request, visit: Visit) -> Response:
    request.state.after = ("query",)
    fields = request.state.fields
    asked = {"name": fields.get("name", ""), "sql": fields.get("sql", "")}
    await visit.api.ask("PUT", ("admin", "queries"), asked)
    return visit.done(f"The query {asked['name']} is saved.", "query")


async def _forget(request: Request, visit: Visit) -> Response:
    request.state.after = ("query",)
    name = request.state.fields.get("name", "")
    await visit.api.ask("DELETE", ("admin", "queries"), {"name": name})
    return visit.done(f"The query {name} is forgotten.", "query")


async def _export(request: Request, visit: Visit) -> Response:
    request.state.after = ("query",)
    fields = request.state.fields
    asked = {key: fields.get(key, "") for key in ("sql", "format", "reason")}
    answer = await visit.api.exchange_json("POST", ("admin", "predictions", "export"), asked)
    headers = {name: answer.headers[name] for name in _FILE_HEADERS}
    return Response(answer.body, headers=headers)


def answer_table(section: Section, found: Mapping[str, Any], visit: Visit) -> None:
    """The rows of an answer; a request id leads to its prediction.

    Args:
        section: Section of the page.
        found: As ``POST /admin/predictions/query`` gives it.
        visit: Visit that the page is for.
    """
    columns = found["columns"]
    place = columns.index("request_id") if "request_id" in columns else -1
    rows = [
        [
            link(one, f"{visit.at('predictions', 'one')}?{urlencode({'request_id': one})}")
            if index == place and isinstance(one, str)
            else one
            for index, one in enumerate(row)
        ]
        for row in found["rows"]
    ]
    more = "; there are more" if found["more"] else ""
    section.table(columns, rows, f"{len(rows)} rows{more}")


def add_exports(section: Section, sql: str, visit: Visit) -> None:
    """The form that hands an answer out as a file."""
    if visit.session is None:
        return
    form = visit.form(
        ("query", "export"),
        "Export",
        _EXPORT,
        Field("format", "Format", options=_FORMATS),
        _hidden(sql),
        reason_needed=True,
    )
    section.form(form)


def chart_of(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Markup | None:
    """A chart of an answer; ``None`` if its figures do not follow from its first column.

    The first column is of numbers, or of few texts. Of the others those of numbers are drawn.

    Args:
        columns: Names.
        rows: Of the answer.
    """
    if len(rows) < 2 or len(columns) < 2:  # noqa: PLR2004 - a point is no chart
        return None
    first = [row[0] for row in rows]
    figures = {
        columns[place]: [row[place] for row in rows]
        for place in range(1, len(columns))
        if _numbers([row[place] for row in rows])
    }
    figures = dict(list(figures.items())[:_MOST_SERIES])
    if not figures:
        return None
    title = f"{', '.join(figures)} by {columns[0]}"
    if _numbers(first) and None not in first:
        order = sorted(range(len(rows)), key=lambda place: first[place])
        series = [
            Series(name, [first[one] for one in order], [values[one] for one in order])
            for name, values in figures.items()
        ]
        return line_chart(title, series, time=columns[0] == "time")
    figures = {name: values for name, values in figures.items() if _none_negative(values)}
    if len(rows) > _MOST_BARS or not figures:
        return None
    return bar_chart(title, ["" if one is None else str(one) for one in first], figures)


def _none_negative(values: Sequence[float | None]) -> bool:
    """Whether bars can show the figures: none is below zero."""
    return all(one is None or one >= 0 for one in values)


def _numbers(values: Sequence[Any]) -> bool:
    kinds = {type(one) for one in values if one is not None}
    return bool(kinds) and kinds <= {int, float}
