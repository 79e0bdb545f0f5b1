"""Schemas of what the admin port answers, for programs that write clients from the description.

A schema names the keys that a client may rely on. Answers may have more keys.
"""

from __future__ import annotations

from typing import Any, Final

#: Names of the schemas, for `penstock.server.control.api.openapi.Endpoint`.
ANSWER: Final = "Answer"
OUTCOME: Final = "Outcome"
STATUS: Final = "Status"
INDEX: Final = "RepositoryIndex"
#: These two are no JSON.
PAGE: Final = "text/html"
EXPOSITION: Final = "text/plain"
NOTHING: Final = ""

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_WHOLE: Final[dict[str, Any]] = {"type": "integer"}
_FLAG: Final[dict[str, Any]] = {"type": "boolean"}
_OBJECT: Final[dict[str, Any]] = {"type": "object", "additionalProperties": True}
_SECONDS: Final[dict[str, Any]] = {"type": ["number", "null"], "description": "Seconds."}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
        "additionalProperties": True,
    }


def _named(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_ALIASES: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Version by alias.",
    "additionalProperties": _WHOLE,
}

SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "Error": _object({"error": _TEXT}),
    ANSWER: _OBJECT,
    OUTCOME: _object(
        {
            "action": _TEXT,
            "model": _TEXT,
            "version": {"type": ["integer", "null"]},
            "generation": {**_WHOLE, "description": "Of the desired state."},
            "aliases": _ALIASES,
            "converged": {**_FLAG, "description": "Whether every worker has followed."},
            "waiting": {**_OBJECT, "description": "Why, by worker that has not followed."},
        }
    ),
    STATUS: _object(
        {
            "server": _object({"name": _TEXT, "version": _TEXT}),
            "generation": _WHOLE,
            "converged": _FLAG,
            "models": {"type": "array", "items": _named("ModelStatus")},
            "problems": {"type": "array", "items": _object({"path": _TEXT, "reason": _TEXT})},
        }
    ),
    "ModelStatus": _object(
        {
            "name": _TEXT,
            "default": {"type": ["integer", "null"], "description": "The version that answers."},
            "aliases": {"type": "object", "additionalProperties": _named("AliasStatus")},
            "versions": {"type": "array", "items": _named("VersionStatus")},
        }
    ),
    "AliasStatus": _object({"version": _WHOLE, "since": _TEXT, "by": _TEXT, "reason": _TEXT}),
    "VersionStatus": _object(
        {
            "version": _WHOLE,
            "state": _TEXT,
            "reason": _TEXT,
            "default": _FLAG,
            "digest": _TEXT,
            "traffic": _named("Traffic"),
        }
    ),
    "Traffic": _object(
        {
            "requests": _WHOLE,
            "errors": _WHOLE,
            "requests_per_second": {"type": "number"},
            "errors_per_second": {"type": "number"},
            "p50_seconds": _SECONDS,
            "p99_seconds": _SECONDS,
        }
    ),
    INDEX: {"type": "array", "items": _named("RepositoryEntry")},
    "RepositoryEntry": _object({"name": _TEXT, "version": _TEXT, "state": _TEXT, "reason": _TEXT}),
}


def content_of(answer: str) -> dict[str, Any]:
    """The ``content`` of an answer of status 200.

    Args:
        answer: Name of a schema, or a media type that is no JSON.
    """
    if answer == NOTHING:
        return {}
    if "/" in answer:
        return {answer: {"schema": _TEXT}}
    return {"application/json": {"schema": _named(answer)}}
