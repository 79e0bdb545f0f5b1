"""``penstock performance``: how good the versions of a model have been, by their labels."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from .arguments import Json, Model, OnlyVersion, Since
from .client import ServerOptions, find_server, model_path
from .output import plain, show, show_json, table
from .segments_view import figure_words, segment_notes, segments_table

if TYPE_CHECKING:
    from rich.console import RenderableType


def run_performance(
    model: Model,
    server: ServerOptions,
    *,
    since: Since = "7d",
    window: Annotated[str, typer.Option(metavar="TIME", help="Of figures over time.")] = "24h",
    version: OnlyVersion = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="INPUT", help="Figures by segment: one of segments in model.toml."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Show how good the versions of a model have been, by their labels."""
    asked = {"since": since, "window": window, "version": version, "by": by}
    query = urlencode({name: value for name, value in asked.items() if value is not None})
    found = find_server(server).get(model_path(model, f"/performance?{query}"))
    if as_json:
        show_json(found)
    else:
        show(performance_view(found))
    return 0


def performance_view(found: dict[str, Any]) -> "RenderableType":
    """The tables."""
    from rich.console import Group

    made = table("version", "arm", "predictions", "labels", "coverage", "figure", "value", "95 %")
    notes: list[str] = []
    for one in found["versions"]:
        coverage = "" if one["coverage"] is None else f"{one['coverage']:.1%}"
        first = [one["version"], one["arm"], str(one["predictions"]), str(one["labels"]), coverage]
        for name, figure in one["figures"].items() or {"": None}.items():
            told = [""] * 3 if figure is None else [name, *figure_words(figure)]
            made.add_row(*(plain(cell) for cell in (*first, *told)))
            first = [""] * len(first)
        notes += _notes(one)
    if not found["versions"]:
        notes.append(f"nothing is known of {found['model']} in this time")
    received = ", ".join(f"{count} {name}" for name, count in found["feedback"].items())
    segments = segments_table(found)
    return Group(made, *segments, *map(plain, notes), f"labels of all models: {received or 'none'}")


def _notes(one: dict[str, Any]) -> Iterator[str]:
    where = f"version {one['version']}" + (f" {one['arm']}" if one["arm"] else "")
    if one["estimated"] is not None:
        estimated = one["estimated"]
        yield f"{where}: accuracy {estimated['accuracy']:.4f} is {estimated['assumption']}"
    if one.get("not_comparable"):
        such = ", ".join(repr(label) for label in one["not_comparable_examples"])
        yield (
            f"{where}: {one['not_comparable']} labels are no class of the model, or no number "
            f"where it gives numbers, such as {such}; they count neither as right nor as wrong"
        )
    if one.get("never_predicted"):
        such = ", ".join(f"{name!r} ({n})" for name, n in one["never_predicted"].items())
        yield f"{where}: labels of classes that the version has never predicted: {such}"
    yield from segment_notes(one, where)
    change = one["change"]
    if change is None or change["threshold"] is None:
        return
    if change.get("cannot_tell"):
        yield f"{where}: labelling changed: cannot tell, because {change['cannot_tell']}"
    told = f"{where}: {change['state']}, {change['labels']} labels"
    if change["state"] == "learning":
        yield f"{told} of the reference"
        return
    yield (
        f"{told}; reference {change['reference_rate']:.4f} bad, evidence of a change "
        f"{change['evidence']:.3g} of {change['threshold']:.3g}; a false alarm in 30 days with "
        f"{change['false_alarms_per_month']:.0%} probability at most"
    )
