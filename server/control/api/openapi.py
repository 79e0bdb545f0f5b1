"""The endpoints of the admin port, once: routes, scopes and the OpenAPI document follow from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.distribution import server_version
from penstock.server.auth.tokens import APPROVE, OBSERVE, OPERATE

from .answer_schemas import (
    ANSWER,
    EXPOSITION,
    INDEX,
    NOTHING,
    OUTCOME,
    PAGE,
    SCHEMAS,
    STATUS,
    content_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLACE: Final = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint.

    Attributes:
        method: HTTP method.
        path: With places in braces.
        name: Name of its handler.
        summary: One sentence.
        scope: Scope that a token must cover; empty if none is needed.
        query: Names in the query, with their meaning.
        body: Names in the body, with their meaning.
        answer: Schema of the answer, see `penstock.server.control.api.answer_schemas`.
    """

    method: str
    path: str
    name: str
    summary: str
    scope: str = ""
    query: tuple[tuple[str, str], ...] = ()
    body: tuple[tuple[str, str], ...] = ()
    answer: str = ANSWER


MODEL: Final = "/admin/models/{model}"
_VERSION: Final = MODEL + "/versions/{version}"
COMMAND: Final = (
    ("reason", "Why; it is on record."),
    ("generation", "Of the state you saw, from the status; 409 if somebody was faster."),
    ("by", "Who uses the token; it is on record."),
)
_ACCEPT: Final = (
    "accept",
    "true: although it answers its golden requests otherwise or breaks clients; needs a reason.",
)
#: Types of keys in bodies, where every endpoint means the same by them.
_TYPES: Final[dict[str, dict[str, str]]] = {
    "accept": {"type": "boolean"},
    "all_columns": {"type": "boolean"},
    "by": {"type": "string"},
    "digest": {"type": "string"},
    "dry_run": {"type": "boolean"},
    "force": {"type": "boolean"},
    "generation": {"type": "integer"},
    "ready": {"type": "boolean"},
    "reason": {"type": "string"},
    "version": {"type": "integer"},
}
_TRITON: Final = (("parameters", "version: which one; by default the newest, or all on unload."),)


def command(
    method: str,
    path: str,
    name: str,
    summary: str,
    body: tuple[tuple[str, str], ...] = (),
    *,
    answer: str = OUTCOME,
) -> Endpoint:
    """An endpoint that changes what is wanted; the keys of every command are in its body."""
    return Endpoint(method, path, name, summary, OPERATE, (), (*body, *COMMAND), answer)


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/admin/status",
        "status",
        "What runs where, since when, by which actor",
        OBSERVE,
        answer=STATUS,
    ),
    command("POST", _VERSION + "/load", "load", "Load a version", (_ACCEPT,)),
    command("POST", _VERSION + "/unload", "unload", "Unload a version"),
    command("POST", _VERSION + "/promote", "promote", "Make it stable"),
    command(
        "POST",
        MODEL + "/rollback",
        "rollback",
        "Back to the last, verified on today's data",
        (("force", "true: without a verification."), ("dry_run", "true: the verification alone.")),
        answer=ANSWER,
    ),
    command(
        "PUT",
        MODEL + "/aliases/{alias}",
        "set_alias",
        "Point an alias at a version",
        (("version", "Which."),),
    ),
    command("DELETE", MODEL + "/aliases/{alias}", "remove_alias", "Forget it"),
    Endpoint(
        "GET",
        MODEL + "/history",
        "history",
        "What was done to it, or what was in production at a time",
        OBSERVE,
        (("at", "A time; then the answer is the version that was in production."),),
    ),
    Endpoint(
        "GET",
        MODEL + "/diff",
        "diff",
        "How two versions differ",
        OBSERVE,
        (("from", "A version."), ("to", "Another.")),
    ),
    Endpoint(
        "POST",
        "/v2/repository/index",
        "index",
        "Every version and its state",
        OBSERVE,
        (),
        (("ready", "Only versions that serve."),),
        INDEX,
    ),
    Endpoint(
        "POST",
        "/v2/repository/models/{model}/load",
        "repository_load",
        "Load, as Triton's clients do",
        OPERATE,
        (("version", "Which."),),
        _TRITON,
        NOTHING,
    ),
    Endpoint(
        "POST",
        "/v2/repository/models/{model}/unload",
        "repository_unload",
        "Unload, as Triton's clients do",
        OPERATE,
        (("version", "Which."),),
        _TRITON,
        NOTHING,
    ),
    Endpoint("GET", "/v2", "server", "Name, version and protocol extensions"),
    Endpoint("GET", "/v2/health/live", "live", "The process answers"),
    Endpoint("GET", "/v2/health/ready", "ready", "A worker serves"),
    Endpoint(
        "GET", "/metrics", "metrics", "Prometheus metrics of all processes", answer=EXPOSITION
    ),
    Endpoint("GET", "/docs", "docs", "This page", answer=PAGE),
    Endpoint("GET", "/openapi.json", "openapi", "This description"),
)


def openapi(
    url: str, endpoints: Iterable[Endpoint] = ENDPOINTS, *, open_reads: bool = False
) -> dict[str, Any]:
    """The document of ``/openapi.json``.

    Args:
        url: URL of the port.
        endpoints: Endpoints of the port.
        open_reads: Whether looking needs no token.
    """
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(
            endpoint, open_reads=open_reads
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock admin",
            "version": server_version(),
            "description": "Which version runs, since when, and who set it; and commands.",
        },
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": SCHEMAS,
        },
    }


def _operation(endpoint: Endpoint, *, open_reads: bool) -> dict[str, Any]:
    places = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PLACE.findall(endpoint.path)
    ]
    query = [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in endpoint.query
    ]
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [*places, *query],
        "responses": _responses(endpoint),
    }
    if endpoint.scope:
        free: list[dict[str, Any]] = [{}] if open_reads and endpoint.scope == OBSERVE else []
        operation["security"] = [{"token": [endpoint.scope]}, *free]
    if endpoint.body:
        properties = {
            name: {**_TYPES.get(name, {}), "description": text} for name, text in endpoint.body
        }
        schema = {"type": "object", "properties": properties}
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return operation


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    answer = {"content": content} if (content := content_of(endpoint.answer)) else {}
    responses: dict[str, Any] = {"200": {"description": "Done, on every worker.", **answer}}
    if endpoint.scope in {OPERATE, APPROVE}:
        responses["202"] = {
            "description": "In force; `waiting` names the workers still behind.",
            **answer,
        }
        responses["409"] = {"description": "Nothing has changed; it says why.", "content": error}
        responses["504"] = {"description": "Still being loaded.", "content": error}
    responses["4XX"] = {"description": "The request is wrong.", "content": error}
    responses["503"] = {"description": "Not now; it says why.", "content": error}
    return responses
