"""The part of the OpenAPI description that is about rows with names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from penstock.runtimes.contract import TensorSpec
    from penstock.server.codecs.row_columns import RowColumn
    from penstock.server.serving.servable import Servable

_MATRIX: Final = 2
_ANYTHING: Final[dict[str, Any]] = {}
#: By type of JSON.
_EXAMPLES: Final = {"number": 0.5, "integer": 1, "boolean": True, "string": "1"}


def rows_request(servable: Servable) -> dict[str, Any]:
    """The schema of a body of ``:predict``: each column of the model by name and type."""
    columns = servable.wire.row_columns
    row = _ANYTHING
    if columns.names:
        named = {
            "type": "object",
            "required": list(columns.names),
            "additionalProperties": False,
            "properties": {one.name: _value(one) for one in columns.listed},
        }
        row = {"anyOf": [named, {"type": "array"}]}
    return {
        "type": "object",
        "required": ["instances"],
        "properties": {"instances": {"type": "array", "items": row}},
    }


def example_rows(servable: Servable) -> dict[str, Any] | None:
    """A body of one row with a value for each named column; ``None`` if columns have no names."""
    listed = servable.wire.row_columns.listed
    if not listed:
        return None
    return {"instances": [{one.name: _example_value(one) for one in listed}]}


def _example_value(column: RowColumn) -> Any:
    if column.categories:
        return column.categories[0]
    if column.categories is not None and not column.is_text:
        return 0
    return _EXAMPLES[column.json_type]


def _value(column: RowColumn) -> dict[str, Any]:
    if column.categories:
        listed = list(column.categories)
        return {"enum": [*listed, None] if column.missing else listed}
    types = [column.json_type]
    if column.is_text and column.categories is not None:
        types.append("integer")
    return {"type": [*types, "null"] if column.missing else types}


def rows_response(servable: Servable) -> dict[str, Any]:
    """The schema of the answer to `rows_request`."""
    outputs = {spec.name: _output(spec) for spec in servable.signature.outputs}
    row = {"type": "object", "properties": outputs}
    return {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": {"type": "array", "items": row}},
    }


def _output(spec: TensorSpec) -> dict[str, Any]:
    if len(spec.shape) == _MATRIX and spec.columns:
        classes = {one.name: {"type": ["number", "null"]} for one in spec.columns}
        return {"type": "object", "properties": classes}
    if len(spec.columns) == 1 and spec.columns[0].categories:
        return {"enum": list(spec.columns[0].categories)}
    return _ANYTHING
