"""The endpoints of the admin port, once: routes, scopes and the OpenAPI document follow from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from penstock.monitoring.distribution import server_version
from penstock.server.auth.tokens import APPROVE, OBSERVE, OPERATE

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
        scope: What a token must cover; empty if none is needed.
        query: Names in the query, with their meaning.
        body: Names in the body, with their meaning.
    """

    method: str
    path: str
    name: str
    summary: str
    scope: str = ""
    query: tuple[tuple[str, str], ...] = ()
    body: tuple[tuple[str, str], ...] = ()


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
_TRITON: Final = (("parameters", "version: which one; by default the newest, or all on unload."),)

ENDPOINTS: Final = (
    Endpoint(
        "GET", "/admin/status", "status", "What runs where, since when, by which actor", OBSERVE
    ),
    Endpoint(
        "POST", _VERSION + "/load", "load", "Load a version", OPERATE, (), (_ACCEPT, *COMMAND)
    ),
    Endpoint("POST", _VERSION + "/unload", "unload", "Unload a version", OPERATE, (), COMMAND),
    Endpoint("POST", _VERSION + "/promote", "promote", "Make it stable", OPERATE, (), COMMAND),
    Endpoint(
        "POST",
        MODEL + "/rollback",
        "rollback",
        "Back to the last, verified on today's data",
        OPERATE,
        (),
        (
            ("force", "true: without a verification."),
            ("dry_run", "true: the verification alone."),
            *COMMAND,
        ),
    ),
    Endpoint(
        "PUT",
        MODEL + "/aliases/{alias}",
        "set_alias",
        "Point an alias at a version",
        OPERATE,
        (),
        (("version", "Which."), *COMMAND),
    ),
    Endpoint(
        "DELETE", MODEL + "/aliases/{alias}", "remove_alias", "Forget it", OPERATE, (), COMMAND
    ),
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
    ),
    Endpoint(
        "POST",
        "/v2/repository/models/{model}/load",
        "repository_load",
        "Load, as Triton's clients do",
        OPERATE,
        (("version", "Which."),),
        _TRITON,
    ),
    Endpoint(
        "POST",
        "/v2/repository/models/{model}/unload",
        "repository_unload",
        "Unload, as Triton's clients do",
        OPERATE,
        (("version", "Which."),),
        _TRITON,
    ),
    Endpoint("GET", "/v2", "server", "Name, version and protocol extensions"),
    Endpoint("GET", "/v2/health/live", "live", "The process answers"),
    Endpoint("GET", "/v2/health/ready", "ready", "A worker serves"),
    Endpoint("GET", "/metrics", "metrics", "Prometheus metrics of all processes"),
    Endpoint("GET", "/docs", "docs", "This page"),
    Endpoint("GET", "/openapi.json", "openapi", "This description"),
)


def openapi(url: str, endpoints: Iterable[Endpoint] = ENDPOINTS) -> dict[str, Any]:
    """The document of ``/openapi.json``.

    Args:
        url: Where it is served.
        endpoints: What is served there.
    """
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
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
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": {"error": {"type": "string"}},
                }
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
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
        operation["security"] = [{"token": [endpoint.scope]}]
    if endpoint.body:
        properties = {name: {"description": text} for name, text in endpoint.body}
        schema = {"type": "object", "properties": properties}
        operation["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return operation


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses: dict[str, Any] = {"200": {"description": "Done, on every worker."}}
    if endpoint.scope in {OPERATE, APPROVE}:
        responses["202"] = {"description": "In force; `waiting` names the workers still behind."}
        responses["409"] = {"description": "Nothing has changed; it says why.", "content": error}
        responses["504"] = {"description": "Still being loaded.", "content": error}
    responses["4XX"] = {"description": "The request is wrong.", "content": error}
    return responses
