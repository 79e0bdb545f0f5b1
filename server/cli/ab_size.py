"""``penstock ab size``: how many requests a comparison takes, and how long that is."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from .durations import duration

if TYPE_CHECKING:
    import argparse

_EXIT_FAILURE: Final = 1


def add_size(group: Any) -> None:
    """Add the verb; it asks no server."""
    parser: argparse.ArgumentParser = group.add_parser(
        "size",
        help="how many requests a comparison takes",
        description="How many requests tell a difference of rates or means: if the result is read "
        "once at the end, and if it may be read at any time, as that of this server. No server is "
        "asked.",
    )
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--rate", type=float, metavar="0.02", help="of stable: share of requests")
    kind.add_argument(
        "--deviation", type=float, metavar="3.5", help="for means: standard deviation in an arm"
    )
    change = parser.add_mutually_exclusive_group(required=True)
    change.add_argument("--difference", type=float, metavar="0.005", help="that is to be told")
    change.add_argument("--ratio", type=float, metavar="1.25", help="of the rates, in its place")
    parser.add_argument("--percent", type=float, default=50.0, metavar="50", help="the share")
    parser.add_argument(
        "--alpha", type=float, default=0.05, metavar="0.05", help="how often to err"
    )
    parser.add_argument(
        "--power", type=float, default=0.8, metavar="0.8", help="how often to tell it"
    )
    parser.add_argument("--requests-per-second", type=float, metavar="20", help="for the time")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run_size)


def run_size(namespace: argparse.Namespace) -> int:
    """Print the numbers of requests; returns the exit status."""
    from penstock.server.errors import InvalidRequest

    try:
        found = sizes(namespace)
    except InvalidRequest as error:
        print(f"penstock: {error.message}", file=sys.stderr)
        return _EXIT_FAILURE
    if namespace.json:
        print(json.dumps(found, indent=2))
        return 0
    for name, words in (("fixed", "read once, at the end"), ("anytime", "read at any time")):
        one = found[name]
        seconds = one["seconds"]
        time = "" if seconds is None else f", {duration(seconds)}"
        print(f"{words}: {one['requests']:,} requests, {one['candidate']:,} to the candidate{time}")
    return 0


def sizes(namespace: argparse.Namespace) -> dict[str, Any]:
    """The answer as JSON has it.

    Raises:
        InvalidRequest: The figures make no sense.
    """
    from penstock.server.errors import InvalidRequest
    from penstock.server.rollout.sample_size import Design, size_of_means, size_of_rates

    rate, difference, speed = namespace.rate, namespace.difference, namespace.requests_per_second
    if namespace.ratio is not None:
        if rate is None:
            raise InvalidRequest("--ratio is for rates; name the --difference of the means")
        difference = rate * (namespace.ratio - 1.0)
    if speed is not None and not speed > 0.0:
        raise InvalidRequest(f"--requests-per-second is {speed:g}, expected a number above 0")
    share = namespace.percent / 100.0
    design = Design(difference, share, namespace.alpha, namespace.power)
    if rate is None:
        found = size_of_means(namespace.deviation, design)
    else:
        found = size_of_rates(rate, design)
    return {
        name: {
            "requests": size,
            "candidate": round(share * size),
            "seconds": None if speed is None else size / speed,
        }
        for name, size in (("fixed", found.fixed), ("anytime", found.anytime))
    }
