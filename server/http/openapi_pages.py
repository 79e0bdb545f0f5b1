"""The part of the OpenAPI description that is about the server and its models, not predictions."""

from __future__ import annotations

from typing import Any, Final

from penstock.server.ports.schemas import FLAG, OBJECT, TEXT, list_of, named, object_of

_ERROR: Final = "Error"
#: What the statuses of pages mean.
_MEANING: Final = {"200": "As asked.", "503": "Not yet; it says why."}


_TENSOR: Final = object_of(
    {"name": TEXT, "datatype": TEXT, "shape": list_of({"type": "integer", "minimum": -1})},
    parameters=OBJECT,
)
#: By name: the errors, and what the pages answer.
SCHEMAS: Final[dict[str, Any]] = {
    _ERROR: object_of({"error": TEXT}),
    "Server": object_of({"name": TEXT, "version": TEXT, "extensions": list_of(TEXT)}),
    "Live": object_of({"live": FLAG}),
    "Ready": object_of({"ready": FLAG}, name=TEXT, reason=TEXT),
    "ModelVersion": object_of(
        {"name": TEXT, "version": TEXT, "state": TEXT, "reason": TEXT}, default=FLAG
    ),
    "TensorMetadata": _TENSOR,
    "ModelMetadata": object_of(
        {
            "name": TEXT,
            "versions": list_of(TEXT),
            "platform": TEXT,
            "inputs": list_of(named("TensorMetadata")),
            "outputs": list_of(named("TensorMetadata")),
        },
        parameters=OBJECT,
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
    "/v2": _get("server_metadata", "Name, version and protocol extensions", named("Server")),
    "/v2/health/live": _get("server_live", "The process answers", named("Live")),
    "/v2/health/ready": _get("server_ready", "The models are loaded", named("Ready"), waits=True),
    "/v2/models": _get(
        "models", "Every version known here and its state", list_of(named("ModelVersion"))
    ),
    "/metrics": {
        "get": {
            "operationId": "metrics",
            "summary": "Prometheus metrics of the whole server",
            "tags": ["server"],
            "responses": {
                "200": {"description": "As asked.", "content": {"text/plain": {"schema": TEXT}}}
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
            named("ModelMetadata"),
            tag=name,
        ),
        f"{path}/ready": _get(
            f"ready_{name}", f"Whether {name} answers", named("Ready"), waits=True, tag=name
        ),
    }
