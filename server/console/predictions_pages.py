"""The pages on which predictions are looked up: a search, and one prediction with its chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.prediction_log.search import OPERATORS
from penstock.server.page.form import Field, Form
from penstock.server.page.markup import badge, joined, link
from penstock.server.page.page import Page

from .query_pages import add_exports, answer_table
from .rollout_words import moment
from .routes import Routes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from penstock.server.page.page import Section

    from .visit import Visit

#: Name in the query, its label, and an example.
_FIELDS: Final = (
    ("request_id", "Request id", "as x-request-id had it"),
    ("since", "From (UTC)", "2031-05-01T12:30"),
    ("until", "Until (UTC)", "2031-05-01T13:00"),
    ("version", "Version", "2"),
    ("arm", "Arm", "canary"),
    ("column", "Column", "an input or output"),
)
_WINDOW_TONES: Final = {"drift": "bad", "warn": "warning", "ok": "good"}


def prediction_routes() -> Routes:
    """The pages."""
    return Routes(pages={"/predictions": _search, "/predictions/one": _show})


async def _search(request: Request, visit: Visit) -> Response:
    asked = {name: text for name, text in request.query_params.items() if text.strip()}
    await visit.api.get("admin", "queries")  # whether the visitor may read what people have sent
    status = await visit.api.get("admin", "status")
    models = tuple(one["name"] for one in status["models"])
    page = Page("Predictions", "what was asked and answered, as far as the prediction log keeps it")
    section = page.section("Search")
    section.form(_form(models, asked, visit))
    section.text(link("Ask by SQL", visit.at("query")))
    if "model" in asked:
        found = await visit.api.ask("GET", ("admin", "predictions"), query=asked)
        _found(page.section("Found"), found, visit)
    return visit.answer(page, "Predictions")


def _form(models: tuple[str, ...], asked: Mapping[str, str], visit: Visit) -> Form:
    texts = [
        Field(name, label, value=asked.get(name, ""), hint=hint) for name, label, hint in _FIELDS
    ]
    operator = Field("operator", "is", asked.get("operator", "="), options=OPERATORS)
    value = Field("value", "Value", value=asked.get("value", ""))
    model = Field("model", "Model", asked.get("model", ""), options=models)
    fields = (model, *texts, operator, value)
    return Form(visit.at("predictions"), "Search", "", fields, open=True, method="get")


def _found(section: Section, found: Mapping[str, Any], visit: Visit) -> None:
    for one in found["notes"]:
        section.callout(one, "warning")
    if not found["rows"]:
        section.text("No prediction is like that.")
        return
    answer_table(section, found, visit)
    add_exports(section, found["sql"], visit)


async def _show(request: Request, visit: Visit) -> Response:
    request_id = request.query_params.get("request_id", "")
    found = await visit.api.get("admin", "predictions", "one", request_id=request_id)
    return visit.answer(prediction_page(found, visit), "Predictions")


def prediction_page(found: Mapping[str, Any], visit: Visit) -> Page:
    """One prediction with its whole chain.

    Args:
        found: As ``GET /admin/predictions/one`` gives it.
        visit: Visit that the page is for.
    """
    page = Page("One prediction", found["request_id"])
    rows = found["rows"]
    section = page.section("Request")
    for one in found["notes"]:
        section.callout(one, "warning")
    if not rows:
        section.callout("The prediction log does not have it, or not any more.", "warning")
        return page
    first = rows[0]
    section.table(
        ["when (UTC)", "model", "version", "arm", "status", "latency, ms", "rows"],
        [[
            moment(first["time"]),
            link(first["model"], visit.at("models", first["model"])),
            str(first["version"]),
            first["arm"] or "",
            str(first["status"]),
            first["latency"] and first["latency"] * 1000,
            len(rows),
        ]],
    )  # fmt: skip
    _values(page.section("Values"), found)
    section = page.section("Version")
    section.table(["link", "value"], [[name, str(one)] for name, one in found["lineage"].items()])
    _labels(page.section("Labels"), found["labels"])
    _windows(page.section("Drift"), found["windows"], first["model"], visit)
    return page


def _values(section: Section, found: Mapping[str, Any]) -> None:
    """Columns down, rows of the request across; those that every prediction has are above."""
    rows = found["rows"]
    known = {"time", "model", "version", "arm", "status", "latency", "request_id", "row", "digest"}
    names = [name for name in rows[0] if name not in known]
    shown = rows[:5]
    section.table(
        ["column", *(f"row {one['row']}" for one in shown)],
        [[name, *(_written(one.get(name)) for one in shown)] for name in names],
        "" if len(rows) == len(shown) and not found["more"] else f"the first {len(shown)} rows",
    )


def _written(value: Any) -> str | None:
    return None if value is None else str(value)


def _labels(section: Section, labels: list[dict[str, Any]]) -> None:
    if not labels:
        section.text("No label has come.")
        return
    section.table(
        ["row", "label", "true since (UTC)", "received (UTC)", "source"],
        [
            [
                str(one["row"]),
                str(one["label"]),
                moment(one["label_time"]),
                moment(one["received"]),
                one["source"],
            ]
            for one in labels
        ],
    )


def _windows(section: Section, windows: list[dict[str, Any]], model: str, visit: Visit) -> None:
    if not windows:
        section.text("No window of drift that was closed has it.")
        return
    section.table(
        ["arm", "from (UTC)", "to (UTC)", "rows", "state"],
        [
            [
                one["arm"],
                moment(one["start"]),
                moment(one["end"]),
                one["rows"],
                joined(badge(one["state"], _WINDOW_TONES.get(one["state"], ""))),
            ]
            for one in windows
        ],
    )
    section.text(link("Drift and quality", visit.at("models", model, "drift")))
