"""The part of the OpenAPI description that is about the server and its models, not predictions."""

from __future__ import annotations

from typing import Any, Final

_TEXT: Final[dict[str, Any]] = {"type": "string"}
_FLAG: Final[dict[str, Any]] = {"type": "boolean"}
_ERROR: Final = "Error"
#: What the statuses of pages mean.
_MEANING: Final = {"200": "As asked.", "503": "Not yet; it says why."}


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
    }


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _named(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_TENSOR: Final = _object(
    {"name": _TEXT, "datatype": _TEXT, "shape": _list({"type": "integer", "minimum": -1})},
    parameters={"type": "object"},
)
#: By name: the errors, and what the pages answer.
SCHEMAS: Final[dict[str, Any]] = {
    _ERROR: _object({"error": _TEXT}),
    "Server": _object({"name": _TEXT, "version": _TEXT, "extensions": _list(_TEXT)}),
    "Live": _object({"live": _FLAG}),
    "Ready": _object({"ready": _FLAG}, name=_TEXT, reason=_TEXT),
    "ModelVersion": _object(
        {"name": _TEXT, "version": _TEXT, "state": _TEXT, "reason": _TEXT}, default=_FLAG
    ),
    "TensorMetadata": _TENSOR,
    "ModelMetadata": _object(
        {
            "name": _TEXT,
            "versions": _list(_TEXT),
            "platform": _TEXT,
            "inputs": _list(_named("TensorMetadata")),
            "outputs": _list(_named("TensorMetadata")),
        },
        parameters={"type": "object"},
    ),
}


def _get(
    name: str, summary: str, schema: dict[str, Any], *, waits: bool = False, tag: str = "server"
) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    statuses = ("200", "503") if waits else ("200",)
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "tags": [tag],
            "responses": {
                status: {"description": _MEANING[status], "content": content} for status in statuses
            },
        }
    }


#: The paths that every server has.
SERVER_PATHS: Final[dict[str, Any]] = {
    "/v2": _get("server_metadata", "Name, version and protocol extensions", _named("Server")),
    "/v2/health/live": _get("server_live", "The process answers", _named("Live")),
    "/v2/health/ready": _get("server_ready", "The models are loaded", _named("Ready"), waits=True),
    "/v2/models": _get(
        "models", "Every version known here and its state", _list(_named("ModelVersion"))
    ),
    "/metrics": {
        "get": {
            "operationId": "metrics",
            "summary": "Prometheus metrics of the whole server",
            "tags": ["server"],
            "responses": {
                "200": {"description": "As asked.", "content": {"text/plain": {"schema": _TEXT}}}
            },
        }
    },
}


def model_paths(name: str) -> dict[str, Any]:
    """What can be asked about a model that is served.

    Args:
        name: Of the model.
    """
    path = f"/v2/models/{name}"
    return {
        path: _get(
            f"metadata_{name}",
            f"Inputs and outputs of {name}",
            _named("ModelMetadata"),
            tag=name,
        ),
        f"{path}/ready": _get(
            f"ready_{name}", f"Whether {name} answers", _named("Ready"), waits=True, tag=name
        ),
    }
