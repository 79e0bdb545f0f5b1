"""A closed window judged by its columns and by its whole rows. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .assessment import assess, subjects_of
from .clients import LEAST_OTHERS
from .repeats import counted_once
from .row_history import RELATIONS, lower
from .rule import Level
from .window import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .assessment import Assessment
    from .baseline import Reference
    from .clients import Flood
    from .options import DriftOptions
    from .row_history import RowFindings, RowHistory
    from .rule import Subject
    from .variation import Variations


def judged(
    window: Window,
    seen: RowFindings,
    subjects: Mapping[str, Subject],
    references: Mapping[str, Reference],
    variations: Mapping[str, Variations],
    history: RowHistory,
    options: DriftOptions,
) -> tuple[RowFindings, dict[str, Assessment]]:
    """The features, and the relations between them if something can be said.

    Args:
        window: The window.
        seen: Findings about its rows.
        subjects: Subjects tested in it, as `subjects_of` gives it.
        references: By name, without columns that only grow.
        variations: How much healthy windows vary, by name.
        history: Knows the relations; learns from the window while it does not.
        options: Drift options of the model.

    Returns:
        The findings about its rows, by which it was judged, and the assessments.
    """
    found = assess(window, subjects, references, options)
    if seen.repeats is not None:
        once = counted_once(window, window.sample, references)
        subjects = subjects_of(once, references, variations)
        found = lower(found, assess(once, subjects, references, options))
    flood = seen.flooded_by
    if flood is not None:
        others = _without_flood(window, flood, found, references, variations, options)
        if flood.unsure:
            seen = history.settle(window, seen, flooded=_of_one_client(found, others))
        found = found if seen.flood is None else lower(found, others)
    for name in seen.suspected & found.keys():
        if found[name].level is Level.CRITICAL:
            found[name] = replace(found[name], level=Level.WARN)
    flagged = [name for name, one in found.items() if one.level.flagged]
    provisional = any(one.provisional for one in references.values())
    related = history.relate(window, seen, flagged, options, provisional=provisional)
    return seen, found if related is None else {RELATIONS: related, **found}


def _without_flood(
    window: Window,
    flood: Flood,
    found: Mapping[str, Assessment],
    references: Mapping[str, Reference],
    variations: Mapping[str, Variations],
    options: DriftOptions,
) -> dict[str, Assessment]:
    """Assessments of the rows that these clients have not sent."""
    if flood.others < LEAST_OTHERS:
        return {name: replace(one, level=Level.SMALL) for name, one in found.items()}
    counts = window.clients.without(flood.keys)
    others = Window(window.start, window.end, flood.others, counts=counts)
    subjects = subjects_of(others, references, variations)
    return assess(others, subjects, references, options)


def _of_one_client(found: Mapping[str, Assessment], others: Mapping[str, Assessment]) -> bool:
    """Whether a feature is flagged for the rows of one client.

    Fewer rows alone make a change less certain. So the change must also be less than half as large
    without the client.
    """
    return any(
        one.level.flagged
        and name in others
        and not others[name].level.flagged
        and others[name].psi < one.psi / 2
        for name, one in found.items()
    )
