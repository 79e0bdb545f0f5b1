"""Parts of the JSON schemas with which both ports describe what they answer."""

from __future__ import annotations

from typing import Any, Final

TEXT: Final[dict[str, Any]] = {"type": "string"}
FLAG: Final[dict[str, Any]] = {"type": "boolean"}
WHOLE: Final[dict[str, Any]] = {"type": "integer"}
OBJECT: Final[dict[str, Any]] = {"type": "object"}


def object_of(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """The schema of an object, which may have more keys than these.

    Args:
        required: Schemas of the keys that are always there.
        optional: Those of the keys that may be there.
    """
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
    }


def list_of(item: dict[str, Any]) -> dict[str, Any]:
    """The schema of a list of such items."""
    return {"type": "array", "items": item}


def named(name: str) -> dict[str, Any]:
    """The schema of this name among the components of the document."""
    return {"$ref": f"#/components/schemas/{name}"}
