"""Options of which exactly one is given."""

from __future__ import annotations

from typing import Any

import typer


def one_of(name: str, value: Any, other_name: str, other: Any) -> None:
    """Check that exactly one of two options was given.

    Raises:
        typer.BadParameter: None was, or both were.
    """
    if (value is None) == (other is None):
        found = "none" if value is None else "both"
        raise typer.BadParameter(f"expected one of {name} and {other_name}, {found} was given")
