"""The prediction log on the admin port: searched, asked by SQL, and handed out as files.

Its rows are what people have sent. So reading them takes the scope `operate`, and an export is on
record.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response

from penstock.monitoring.prediction_log.search import OPERATORS, Search
from penstock.server.auth.tokens import OPERATE
from penstock.server.desired_state.audit_record import AuditEvent
from penstock.server.errors import InvalidRequest
from penstock.server.log_query.cells import FORMATS
from penstock.server.ports.media_types import JSON

from . import wire
from .openapi import Endpoint
from .saved_queries import MAX_NAME, MAX_SQL, SavedQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from penstock.server.desired_state.store import StateStore
    from penstock.server.log_query.query_process import QueryProcesses

    from .routes import Handler
    from .saved_queries import SavedQueries

#: Rows of an answer, when nothing is said and at most; and of a file.
_ROWS: Final = 100
_MAX_ROWS: Final = 1000
_MAX_FILE_ROWS: Final = 100_000
_MAX_TEXT: Final = 1000
#: Notes in the header of a file, and characters of each.
_MAX_NOTES: Final = 10
_MAX_NOTE: Final = 300
_SQL: Final = ("sql", "One SELECT: each model is a table, predictions has what all have.")
_SEARCH: Final = Endpoint(
    "GET", "/admin/predictions", "predictions", "Predictions in the log", OPERATE,
    (
        ("model", "Name of the model."),
        ("request_id", "Only of this request."),
        ("since", "Not before this time, such as 2031-05-01T12:30 (UTC)."),
        ("until", "Not after this time."),
        ("version", "Only of this version."),
        ("arm", "Only of this arm of a rollout."),
        ("column", "A column of the model's table,"),
        ("operator", f"compared by one of {' '.join(OPERATORS)}"),
        ("value", "with this value."),
        ("limit", f"Most rows, the newest; {_ROWS} by default, {_MAX_ROWS} at most."),
    ),
)  # fmt: skip
_SHOW: Final = Endpoint(
    "GET", "/admin/predictions/one", "prediction",
    "One prediction, its version, labels and drift windows", OPERATE,
    (("request_id", "As `x-request-id` had it."),),
)  # fmt: skip
_QUERY: Final = Endpoint(
    "POST", "/admin/predictions/query", "query_predictions", "Answer a SELECT over the log",
    OPERATE, (), (_SQL, ("rows", f"At most so many; {_MAX_ROWS} at most.")),
)  # fmt: skip
_EXPORT: Final = Endpoint(
    "POST", "/admin/predictions/export", "export_predictions", "The answer of a SELECT as a file",
    OPERATE, (),
    (
        _SQL,
        ("format", f"One of {', '.join(FORMATS)}."),
        ("reason", "Why; it is on record."),
        ("by", "Who uses the token; it is on record."),
    ),
)  # fmt: skip
_QUERIES: Final = Endpoint("GET", "/admin/queries", "queries", "Saved queries", OPERATE)
_NAME: Final = ("name", "Name of the query.")
_SAVE: Final = Endpoint(
    "PUT", "/admin/queries", "save_query", "Save a query", OPERATE, (), (_NAME, _SQL)
)
_FORGET: Final = Endpoint(
    "DELETE", "/admin/queries", "forget_query", "Forget a saved query", OPERATE, (), (_NAME,)
)


class PredictionsApi:
    """Its endpoints and who answers them.

    Args:
        processes: Read the log.
        queries: Saved queries.
        store: Keeps the audit log.
    """

    def __init__(self, processes: QueryProcesses, queries: SavedQueries, store: StateStore) -> None:
        self._processes = processes
        self._queries = queries
        self._store = store

    def handlers(self) -> dict[Endpoint, Handler]:
        """For `AdminApp`."""
        return {
            _SEARCH: self._search,
            _QUERY: self._query,
            _EXPORT: self._export,
            _SHOW: self._show,
            _QUERIES: self._list,
            _SAVE: self._save,
            _FORGET: self._forget,
        }

    async def _search(self, request: Request, _: str) -> Response:
        search = _search_of(request)
        asked = {"search": asdict(search), "rows": search.limit}
        return await self._answered(kind="search", **asked)

    async def _show(self, request: Request, _: str) -> Response:
        request_id = _text_of(request.query_params, "request_id")
        if not request_id:
            raise InvalidRequest("request_id is missing, expected what x-request-id had")
        return await self._answered(kind="chain", request_id=request_id)

    async def _query(self, request: Request, _: str) -> Response:
        body = await wire.read_body(request)
        wire.check_keys(body, ("sql", "rows"))
        rows = body.get("rows", _MAX_ROWS)
        if type(rows) is not int or not 1 <= rows <= _MAX_ROWS:
            shown = str(rows)[: wire.MAX_SHOWN]
            raise InvalidRequest(f"rows is {shown!r}, expected a number from 1 to {_MAX_ROWS}")
        return await self._answered(kind="sql", sql=_sql_of(body), rows=rows)

    async def _answered(self, **order: Any) -> Response:
        _, found = await self._processes.ask(**order)
        return Response(found, media_type=JSON)

    async def _export(self, request: Request, actor: str) -> Response:
        body = await wire.read_body(request)
        wire.check_keys(body, ("sql", "format", "reason", "by"))
        sql, form = _sql_of(body), body.get("format", "csv")
        if form not in FORMATS:
            shown = str(form)[: wire.MAX_SHOWN]
            raise InvalidRequest(f"format is {shown!r}, expected one of {', '.join(FORMATS)}")
        reason = wire.needed_reason_of(body)
        event = AuditEvent(
            "predictions.export",
            wire.actor_of(actor, body),
            reason=reason,
            evidence={"sql": sql, "format": form},
            generation=self._store.state.generation,
        )
        await asyncio.to_thread(self._store.note, event)
        asked = {"sql": sql, "format": form, "rows": _MAX_FILE_ROWS}
        head, content = await self._processes.ask(kind="file", **asked)
        return Response(content, headers=file_headers(head, form), media_type=FORMATS[form])

    async def _list(self, _: Request, __: str) -> Response:
        found = await asyncio.to_thread(self._queries.known)
        return wire.answer({"queries": [msgspec.structs.asdict(one) for one in found]})

    async def _save(self, request: Request, actor: str) -> Response:
        body = await wire.read_body(request)
        wire.check_keys(body, ("name", "sql"))
        name = body.get("name")
        if (
            not isinstance(name, str)
            or not name.strip()
            or len(name) > MAX_NAME
            or not name.isprintable()
        ):
            raise InvalidRequest(f"the name has to be a text of 1 to {MAX_NAME} characters")
        query = SavedQuery(name, _sql_of(body), actor)
        await asyncio.to_thread(self._queries.save, query)
        return wire.answer(msgspec.structs.asdict(query))

    async def _forget(self, request: Request, _: str) -> Response:
        body = await wire.read_body(request)
        wire.check_keys(body, ("name",))
        name = str(body.get("name", ""))
        await asyncio.to_thread(self._queries.forget, name)
        return wire.answer({"name": name})


def file_headers(head: Mapping[str, Any], form: str) -> dict[str, str]:
    """Headers of an exported file: they say what it lacks, and its name says whether it does.

    Args:
        head: ``rows``, ``more`` and ``notes``, as the process of the query gives them.
        form: One of `FORMATS`.
    """
    notes = [one[:_MAX_NOTE] for one in head["notes"][:_MAX_NOTES]]
    part = "-incomplete" if head["more"] or notes else ""
    return {
        "content-disposition": f'attachment; filename="predictions{part}.{form}"',
        "x-content-type-options": "nosniff",
        "x-rows": str(head["rows"]),
        "x-more-rows": str(head["more"]).lower(),
        "x-notes": json.dumps(notes),
    }


def _sql_of(body: dict[str, Any]) -> str:
    sql = body.get("sql", "")
    if not isinstance(sql, str) or not sql.strip() or len(sql) > MAX_SQL:
        raise InvalidRequest(f"sql has to be a SELECT of at most {MAX_SQL} characters")
    return sql


def _search_of(request: Request) -> Search:
    """What the query of a request looks for."""
    query = {name: text for name, text in request.query_params.items() if text.strip()}
    wire.check_keys(query, tuple(name for name, _ in _SEARCH.query))
    if "model" not in query:
        raise InvalidRequest("model is missing: the name of the model whose predictions to look at")
    if ("value" in query) != ("column" in query):
        raise InvalidRequest("column and value belong together: name both, or neither")
    texts = ("model", "request_id", "arm", "column", "operator", "value")
    return Search(
        **{name: _text_of(query, name) for name in texts if name in query},
        since=_time_of(query, "since"),
        until=_time_of(query, "until"),
        version=wire.version_of(query["version"]) if "version" in query else 0,
        limit=wire.limit_of(request, _ROWS, _MAX_ROWS) if "limit" in query else _ROWS,
    )


def _text_of(query: Mapping[str, str], name: str) -> str:
    """A text of a query, whole: the beginning of one would find something else."""
    text = query.get(name, "")
    if len(text) > _MAX_TEXT:
        raise InvalidRequest(f"{name} has {len(text)} characters, expected at most {_MAX_TEXT}")
    return text


def _time_of(query: dict[str, str], name: str) -> float:
    """Unix seconds of a time, which is UTC unless it says otherwise; 0 if none is given."""
    text = query.get(name, "")
    if not text:
        return 0.0
    try:
        time = datetime.fromisoformat(text.strip())
        return (time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        shown = text[: wire.MAX_SHOWN]
        raise InvalidRequest(
            f"{name} is {shown!r}, expected a time such as 2031-05-01T12:30"
        ) from None
