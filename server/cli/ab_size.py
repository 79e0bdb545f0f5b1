"""``penstock ab size``: how many requests a comparison takes, and how long that is."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from .arguments import Json
from .choice import one_of
from .command_failed import CommandFailed
from .durations import duration
from .output import show_json


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference to find, and its error rates."""

    rate: Annotated[
        float | None, typer.Option(metavar="0.02", help="Of stable: share of requests.")
    ] = None
    deviation: Annotated[
        float | None,
        typer.Option(metavar="3.5", help="For means: standard deviation in an arm."),
    ] = None
    difference: Annotated[
        float | None, typer.Option(metavar="0.005", help="That is to be told.")
    ] = None
    ratio: Annotated[
        float | None, typer.Option(metavar="1.25", help="Of the rates, in its place.")
    ] = None
    percent: Annotated[float, typer.Option(metavar="P", help="The share.")] = 50.0
    alpha: Annotated[float, typer.Option(metavar="SHARE", help="How often to err.")] = 0.05
    power: Annotated[float, typer.Option(metavar="SHARE", help="How often to tell it.")] = 0.8
    requests_per_second: Annotated[
        float | None, typer.Option(metavar="20", help="For the time.")
    ] = None


def run_size(asked: Comparison, *, as_json: Json = False) -> int:
    """How many requests tell a difference of rates or means.

    It prints two numbers: for a result that is read once at the end, and for one that may be read
    at any time, as that of this server. No server is asked.
    """
    from penstock.server.errors import InvalidRequest

    one_of("--rate", asked.rate, "--deviation", asked.deviation)
    one_of("--difference", asked.difference, "--ratio", asked.ratio)
    try:
        found = sizes(asked)
    except InvalidRequest as error:
        raise CommandFailed(error) from None
    if as_json:
        show_json(found)
        return 0
    for name, words in (("fixed", "read once, at the end"), ("anytime", "read at any time")):
        one = found[name]
        seconds = one["seconds"]
        time = "" if seconds is None else f", {duration(seconds)}"
        print(f"{words}: {one['requests']:,} requests, {one['candidate']:,} to the candidate{time}")
    return 0


def sizes(asked: Comparison) -> dict[str, Any]:
    """The answer as JSON has it.

    Raises:
        InvalidRequest: The figures make no sense.
    """
    from penstock.server.errors import InvalidRequest
    from penstock.server.rollout.sample_size import Design, size_of_means, size_of_rates

    rate, difference, speed = asked.rate, asked.difference, asked.requests_per_second
    if asked.ratio is not None:
        if rate is None:
            raise InvalidRequest("--ratio is for rates; name the --difference of the means")
        difference = rate * (asked.ratio - 1.0)
    if speed is not None and not speed > 0.0:
        raise InvalidRequest(f"--requests-per-second is {speed:g}, expected a number above 0")
    share = asked.percent / 100.0
    assert difference is not None  # or the ratio, see run_size
    design = Design(difference, share, asked.alpha, asked.power)
    if rate is None:
        assert asked.deviation is not None
        found = size_of_means(asked.deviation, design)
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
