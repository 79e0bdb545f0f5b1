"""``penstock canary plan``: what is to be expected of a canary, as text or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from .durations import duration

if TYPE_CHECKING:
    import argparse

    from .client import AdminClient

_SUPPOSED: Final = ("requests_per_second", "failed_percent", "slow_percent")
_WAITS: Final = {
    "hold_seconds": "the time of a step",
    "requests": "the fewest requests of a step",
    "bad_rate": "certainty that few are bad",
}


def add_supposed(parser: argparse.ArgumentParser) -> None:
    """Options for a plan at other traffic than that of the last minute."""
    group = parser.add_argument_group("supposed in the place of what stable serves now")
    group.add_argument("--requests-per-second", type=float, metavar="20")
    group.add_argument("--failed-percent", type=float, metavar="P", help="requests that fail")
    group.add_argument("--slow-percent", type=float, metavar="P", help="requests that are slow")


def ask_plan(
    client: AdminClient, namespace: argparse.Namespace, body: dict[str, Any]
) -> dict[str, Any]:
    """The plan of a canary.

    Args:
        client: The server.
        namespace: Model, and what is supposed.
        body: As for the start.
    """
    given = {name: getattr(namespace, name, None) for name in _SUPPOSED}
    asked = {key: one for key, one in body.items() if key != "kind"}
    asked |= {name: one for name, one in given.items() if one is not None}
    path = f"/admin/models/{quote(namespace.model, safe='')}/rollout/plan"
    found: dict[str, Any] = client.ask("POST", path, asked)
    return found


def show_plan(found: dict[str, Any], *, as_json: bool) -> None:
    """Print a plan."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for line in plan_lines(found):
        print(line)


def plan_lines(found: dict[str, Any]) -> list[str]:
    """A plan in lines of text."""
    lines = [_headline(found)]
    for step in found["steps"]:
        took = "seldom passed" if step["seconds"] is None else f"about {duration(step['seconds'])}"
        lines.append(
            f"  {step['percent']:g} %, {step['requests_per_second']:.3g} requests/s: {took}; "
            f"decides: {_WAITS[step['decides']]}"
        )
    return [*lines, *short_lines(found)]


def short_lines(found: dict[str, Any]) -> list[str]:
    """What matters before a start: how long it takes, what it sees, what would have to change."""
    if not found["traffic"]["requests_per_second"]:
        return ["no requests in the last minute: plan with --requests-per-second"]
    limit = found["limit_seconds"]
    lines = []
    if found["seconds"] is not None:
        late = found["late_seconds"]
        most = "" if late is None else f", nine in ten within {duration(late)}"
        lines.append(f"in all about {duration(found['seconds'])} if it is as good as stable{most}")
    if not found["ends"]:
        lines.append(
            f"it will hardly end within its limit of {duration(limit)}: {found['in_time']:.0%} of "
            "such ramps do"
        )
        lines += [f"  with {one['option']}: {_soon(one['seconds'])}" for one in found["to_end"]]
    lines += [_harm_line(kind, one, found["power"]) for kind, one in found["harms"].items()]
    if found["to_see"]:
        lines.append("to see twice as many failures:")
        lines += [f"  with {one['option']}: {_soon(one['seconds'])}" for one in found["to_see"]]
    return lines


def _headline(found: dict[str, Any]) -> str:
    traffic = found["traffic"]
    return (
        f"canary of {found['model']} version {found['candidate']} beside version "
        f"{found['stable']}, at {traffic['requests_per_second']:.3g} requests/s of which "
        f"{_share(traffic['failed'])} fail and {_share(traffic['slow'])} are slow"
    )


def _harm_line(kind: str, harm: dict[str, Any], power: float) -> str:
    what = {"failed": "failures", "slow": "slow answers"}[kind]
    if harm["rate"] is None:
        return f"{what}: this ramp sees none, whatever their number"
    line = (
        f"{what}: rolled back from {_times(harm['rate'], harm['stable'])} in {power:.0%} of ramps"
    )
    watched = harm["watched_rate"]
    if watched is not None and watched < 0.95 * harm["rate"]:
        line += f"; with its watch from {_times(watched, harm['stable'])}"
    return line


def _times(rate: float, stable: float) -> str:
    times = f" ({rate / stable:.3g} times stable's)" if stable else ""
    return f"{_share(rate)}{times}"


def _share(rate: float) -> str:
    return f"{100.0 * rate:.3g} %"


def _soon(seconds: float | None) -> str:
    return "it ends" if seconds is None else f"about {duration(seconds)}"
