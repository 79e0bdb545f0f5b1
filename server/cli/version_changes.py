"""The output of `penstock diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock.server.registry.signature_diff import Change

_SHOWN: Final = 80


def print_changes(changes: tuple[Change, ...], before: str, after: str) -> None:
    """Print a table of the differences.

    Args:
        changes: The differences, in order.
        before: Number of the first version.
        after: Number of the second one.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("", f"version {before}", f"version {after}", ""):
        table.add_column(heading, overflow="fold")
    for change in changes:
        what = f"{change.what} {change.name}".rstrip()
        note = "[red]may break clients" if change.breaking else ""
        table.add_row(
            escape(what), escape(_short(change.before)), escape(_short(change.after)), note
        )
    Console().print(table)


def _short(value: str) -> str:
    """Metadata may be pages; the difference is then for a tool to show."""
    if not value:
        return "-"
    return value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"
