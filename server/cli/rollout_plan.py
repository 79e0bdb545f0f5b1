"""The forecast of a canary as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .client import model_path
from .durations import duration

if TYPE_CHECKING:
    from .client import AdminClient
    from .rollout_options import CanaryOptions

_WAITS: Final = {
    "hold_seconds": "the time of a step",
    "requests": "the fewest requests of a step",
    "bad_rate": "certainty that few are bad",
}


def ask_plan(
    client: AdminClient, model: str, version: int, options: CanaryOptions
) -> dict[str, Any]:
    """The plan of a canary.

    Args:
        client: The server.
        model: Name of the model.
        version: The candidate.
        options: Its terms, and the traffic that is supposed.
    """
    body = {"version": version, **options.terms(), **options.supposed()}
    found: dict[str, Any] = client.ask("POST", model_path(model, "/rollout/plan"), body)
    return found


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
    """The summary before a start: duration, smallest harm seen, and changes that would help."""
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
