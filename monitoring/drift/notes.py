"""Notes about the rows of a window, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import clients, repeats

if TYPE_CHECKING:
    from collections.abc import Mapping


def flood_words(notes: Mapping[str, Any]) -> list[str]:
    """Floods of a window as sentences without a full stop, each with what follows from it.

    Args:
        notes: As `row_history.RowFindings.notes`.
    """
    said = []
    if "repeats" in notes:
        found = repeats.words(notes["repeats"])
        said.append(f"{found}: a change counts if distinct rows show it, too")
    if "flood" in notes:
        found = clients.words(notes["flood"])
        counts = (
            "its rows count"
            if notes["flood"]["lasting"]
            else ("a change counts if the other rows show it, too")
        )
        said.append(f"{found}: {counts}")
    return said
