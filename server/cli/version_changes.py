"""The output of `penstock diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .output import plain, show, table

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
    made = table("", f"version {before}", f"version {after}", "")
    for change in changes:
        what = f"{change.what} {change.name}".rstrip()
        note = "[red]may break clients" if change.breaking else ""
        made.add_row(plain(what), plain(_short(change.before)), plain(_short(change.after)), note)
    show(made)


def _short(value: str) -> str:
    """Metadata may be pages; the difference is then for a tool to show."""
    if not value:
        return "-"
    return value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…"
