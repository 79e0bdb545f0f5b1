"""Schemas of what the admin port answers, for programs that write clients from the description.

A schema names the keys that a client may rely on. Answers may have more keys.
"""

from __future__ import annotations

from typing import Any, Final

from penstock.server.ports.schemas import FLAG, OBJECT, TEXT, WHOLE, list_of, named, object_of

#: Names of the schemas, for `penstock.server.control.api.openapi.Endpoint`.
ANSWER: Final = "Answer"
OUTCOME: Final = "Outcome"
STATUS: Final = "Status"
INDEX: Final = "RepositoryIndex"
#: These two are no JSON.
PAGE: Final = "text/html"
EXPOSITION: Final = "text/plain"
NOTHING: Final = ""
BATCH: Final = "Batch"
BATCHES: Final = "Batches"

_SECONDS: Final[dict[str, Any]] = {"type": ["number", "null"], "description": "Seconds."}


_ALIASES: Final[dict[str, Any]] = {
    "type": "object",
    "description": "Version by alias.",
    "additionalProperties": WHOLE,
}

SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "Error": object_of({"error": TEXT}),
    ANSWER: OBJECT,
    OUTCOME: object_of(
        {
            "action": TEXT,
            "model": TEXT,
            "version": {"type": ["integer", "null"]},
            "generation": {**WHOLE, "description": "Of the desired state."},
            "aliases": _ALIASES,
            "converged": {**FLAG, "description": "Whether every worker has followed."},
            "waiting": {**OBJECT, "description": "Why, by worker that has not followed."},
        }
    ),
    STATUS: object_of(
        {
            "server": object_of({"name": TEXT, "version": TEXT}),
            "generation": WHOLE,
            "converged": FLAG,
            "models": list_of(named("ModelStatus")),
            "monitor": object_of({"answers": FLAG, "problem": TEXT}),
            "problems": list_of(object_of({"path": TEXT, "reason": TEXT})),
        }
    ),
    "ModelStatus": object_of(
        {
            "name": TEXT,
            "default": {"type": ["integer", "null"], "description": "The version that answers."},
            "aliases": {"type": "object", "additionalProperties": named("AliasStatus")},
            "versions": list_of(named("VersionStatus")),
        }
    ),
    "AliasStatus": object_of({"version": WHOLE, "since": TEXT, "by": TEXT, "reason": TEXT}),
    "VersionStatus": object_of(
        {
            "version": WHOLE,
            "state": TEXT,
            "reason": TEXT,
            "default": FLAG,
            "digest": TEXT,
            "traffic": named("Traffic"),
            "drift": named("DriftStatus"),
            "labels": named("LabelStatus"),
        }
    ),
    "DriftStatus": object_of({"state": TEXT, "words": TEXT, "features": list_of(TEXT)}),
    "LabelStatus": object_of({"state": TEXT, "words": TEXT, "labels": WHOLE}),
    "Traffic": object_of(
        {
            "requests": WHOLE,
            "errors": WHOLE,
            "requests_per_second": {"type": "number"},
            "errors_per_second": {"type": "number"},
            "p50_seconds": _SECONDS,
            "p99_seconds": _SECONDS,
        }
    ),
    BATCHES: object_of({"batches": list_of(named(BATCH)), "more": FLAG}),
    BATCH: object_of(
        {
            "id": TEXT,
            "model": TEXT,
            "version": {**TEXT, "description": "Asked for; empty for the stable one."},
            "answered_by": {**TEXT, "description": "The version that answers; empty before."},
            "input": TEXT,
            "output": TEXT,
            "state": {**TEXT, "description": "queued, running, done, failed or cancelled."},
            "rows": {**WHOLE, "description": "On disk."},
            "failed": {**WHOLE, "description": "Of these, not answered."},
            "total": {"type": ["integer", "null"], "description": "If the input says."},
            "by": TEXT,
            "reason": TEXT,
            "created": {**_SECONDS, "description": "Unix seconds, as started and ended."},
            "started": _SECONDS,
            "ended": _SECONDS,
            "due": {**_SECONDS, "description": "When it is tried again, if it broke off."},
            "error": {**TEXT, "description": "Why it failed, or broke off last."},
        }
    ),
    INDEX: list_of(named("RepositoryEntry")),
    "RepositoryEntry": object_of({"name": TEXT, "version": TEXT, "state": TEXT, "reason": TEXT}),
}


def content_of(answer: str) -> dict[str, Any]:
    """The ``content`` of an answer of status 200.

    Args:
        answer: Name of a schema, or a media type that is no JSON.
    """
    if answer == NOTHING:
        return {}
    if "/" in answer:
        return {answer: {"schema": TEXT}}
    return {"application/json": {"schema": named(answer)}}
