"""An OpenAPI description in which each model has its own path, its own names and types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.monitoring.distribution import server_version
from penstock.runtimes.contract import VARIABLE
from penstock.runtimes.synthetic import synthetic_inputs

from .feedback import LABEL_SCHEMA, feedback_path
from .openapi_pages import SCHEMAS, SERVER_PATHS, model_paths
from .openapi_rows import example_rows, rows_request, rows_response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.runtimes.contract import Array, TensorSpec
    from penstock.server.serving.catalog import Catalog, ServedModel
    from penstock.server.serving.servable import Servable

_JSON_TYPES = {
    "BOOL": "boolean",
    "BYTES": "string",
    "FP16": "number",
    "FP32": "number",
    "FP64": "number",
}
_ERROR = {"$ref": "#/components/schemas/Error"}
#: Elements of an example tensor; larger ones are left to the reader.
_EXAMPLE_ELEMENTS = 4096


def served(catalog: Catalog) -> list[ServedModel]:
    """The served models by name. The dictionary never changes, so another thread may read it."""
    return [model for _, model in sorted(catalog.models.items())]


def openapi(models: Iterable[ServedModel], url: str, *, secured: bool = False) -> dict[str, Any]:
    """The document of ``/openapi.json``.

    Args:
        models: The served models, by name.
        url: The URL under which clients reach the server.
        secured: Whether predictions need a token.
    """
    schemes = {"token": {"type": "http", "scheme": "bearer"}}
    paths: dict[str, Any] = {**SERVER_PATHS, "/v1/feedback": feedback_path()}
    for model in models:
        name = model.name
        paths |= model_paths(name)
        if model.default is not None:
            paths[f"/v2/models/{name}/infer"] = {"post": _infer(model.default, pinned=False)}
            if not model.default.wire.row_columns.problem:
                paths[f"/v1/models/{name}:predict"] = {"post": _predict(model.default)}
        for servable in model.versions.values():
            path = f"/v2/models/{name}/versions/{servable.version}/infer"
            paths[path] = {"post": _infer(servable, pinned=True)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": server_version(),
            "description": "Predictions by the Open Inference Protocol v2.",
        },
        "servers": [{"url": url}],
        "paths": paths,
        **({"security": [{"token": []}]} if secured else {}),
        "components": {
            **({"securitySchemes": schemes} if secured else {}),
            "schemas": {
                **SCHEMAS,
                "Label": LABEL_SCHEMA,
            },
        },
    }


def example_request(servable: Servable) -> dict[str, Any] | None:
    """A request of one row that the model takes, or ``None`` if it would be too large to show."""
    signature = servable.model.signature
    arrays = synthetic_inputs(signature, 1)
    present = [(s, a) for s, a in zip(signature.inputs, arrays, strict=True) if a is not None]
    if sum(array.size for _, array in present) > _EXAMPLE_ELEMENTS:
        return None
    return {"inputs": [_example(spec, array) for spec, array in present]}


def _example(spec: TensorSpec, array: Array) -> dict[str, Any]:
    data = array.ravel().tolist()
    if spec.datatype == "BYTES":
        data = [element.decode() for element in data]
    elif array.dtype.kind == "f":
        data = [float(np.round(element, 3)) for element in data]
    return {
        "name": spec.name,
        "shape": list(array.shape),
        "datatype": spec.datatype,
        "data": data,
    }


def _infer(servable: Servable, *, pinned: bool) -> dict[str, Any]:
    signature = servable.model.signature
    content: dict[str, Any] = {"schema": _request_schema(signature.inputs)}
    example = example_request(servable)
    if example is not None:
        content["example"] = example
    which = f"version {servable.version}" if pinned else f"now version {servable.version}"
    name = f"infer_{servable.name}" + (f"_{servable.version}" if pinned else "")
    what = f"Predict with {servable.name} ({which})"
    return _operation(servable, name, what, content, _response_schema(signature.outputs))


def _predict(servable: Servable) -> dict[str, Any]:
    what = f"Predict with {servable.name} by rows (now version {servable.version})"
    content = {"schema": rows_request(servable)}
    if (example := example_rows(servable)) is not None:
        content["example"] = example
    return _operation(servable, f"predict_{servable.name}", what, content, rows_response(servable))


def _operation(
    servable: Servable, name: str, what: str, content: dict[str, Any], answer: dict[str, Any]
) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": what,
        "tags": [servable.name],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "200": {
                "description": "The prediction, and which version made it.",
                "content": {"application/json": {"schema": answer}},
            },
            "4XX": _problem("The request is wrong; the message says how."),
            "5XX": _problem("The server could not answer; 503 carries Retry-After."),
        },
    }


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ERROR}}}


def _request_schema(inputs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"]},
            "parameters": {"type": ["object", "null"]},
            "inputs": _tensors(inputs),
            "outputs": {
                "type": ["array", "null"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}},
                },
            },
        },
    }


def _response_schema(outputs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": _tensors(outputs, answered=True),
        },
    }


def _tensors(specs: tuple[TensorSpec, ...], *, answered: bool = False) -> dict[str, Any]:
    if not specs:  # a list of no alternatives is no valid schema
        return {"type": "array", "maxItems": 0}
    tensors = [_tensor(spec, answered=answered) for spec in specs]
    return {"type": "array", "items": tensors[0] if len(tensors) == 1 else {"oneOf": tensors}}


def _tuple(items: list[dict[str, Any]]) -> dict[str, Any]:
    if not items:
        return {"type": "array", "maxItems": 0}
    # `items: false` says the same as `maxItems`, but several generators cannot read it.
    size = len(items)
    return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}


def _sizes(rank: int) -> dict[str, Any]:
    size = {"type": "integer", "minimum": 0}
    return {"type": "array", "items": size, "minItems": rank, "maxItems": rank}


def _tensor(spec: TensorSpec, *, answered: bool) -> dict[str, Any]:
    """The schema of a tensor.

    Args:
        spec: The tensor.
        answered: Whether it is one of an answer. Of those the sizes are not described one by one:
            schemathesis cannot read `prefixItems` in answers.
    """
    dimensions = [
        {"type": "integer", "minimum": 0} if size == VARIABLE else {"const": size}
        for size in spec.shape
    ]
    element = _JSON_TYPES.get(spec.datatype, "integer")
    return {
        "type": "object",
        "title": spec.name,
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"const": spec.name},
            "datatype": {"const": spec.datatype},
            "shape": _sizes(len(spec.shape)) if answered else _tuple(dimensions),
            "data": {
                "type": "array",
                "description": "Row-major, flat or nested.",
                "items": {
                    "anyOf": [{"type": element}, {"type": "array", "items": {}}, {"type": "null"}]
                },
            },
        },
    }
