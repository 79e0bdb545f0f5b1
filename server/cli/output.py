"""How commands print: tables as wide as the terminal, whole lines for a pipe, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

#: Wide enough that no row of a table is broken in a file or a pipe.
_PIPE_COLUMNS: Final = 240


def show(view: RenderableType) -> None:
    """Print tables: to a terminal as wide as it is, to a file or a pipe in whole lines."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS).print(view)


def show_json(value: Any, *, default: Any = None) -> None:
    """Print a value as JSON.

    Args:
        value: The value.
        default: Makes JSON of what has no type there; see `json.dumps`.
    """
    print(json.dumps(value, indent=2, default=default))


def note(text: object) -> None:
    """Say something beside the answer, on standard error."""
    print(f"penstock: {text}", file=sys.stderr, flush=True)


def table(*headings: str) -> Table:
    """An empty table without lines."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def plain(text: str) -> str:
    """Text that Rich shows as it is."""
    from rich.markup import escape

    return escape(text)
