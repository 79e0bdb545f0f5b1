"""Options of the verbs that begin a rollout, and what the server is told of them."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Final

import typer

from .arguments import Json, Reason
from .client import ServerOptions

_SUPPOSED: Final = "Supposed in the place of what stable serves now"


def parse_steps(text: str) -> list[float]:
    """Shares in percent, of text such as ``1,5,25``.

    Raises:
        typer.BadParameter: It is something else.
    """
    try:
        return [float(one) for one in text.split(",")]
    except ValueError:
        message = f"{text!r} is not a list of percentages; expected such as 1,5,25,50,100"
        raise typer.BadParameter(message) from None


@dataclass(frozen=True, slots=True)
class StartOptions(ServerOptions):
    """Options of every kind; what is not said comes from ``model.toml``."""

    hold: Annotated[str | None, typer.Option(metavar="5m", help="Shortest time in each step.")] = (
        None
    )
    min_requests: Annotated[
        int | None, typer.Option(metavar="N", help="Of the candidate, each step.")
    ] = None
    alpha: Annotated[float | None, typer.Option(metavar="0.05", help="How often to err.")] = None
    deadline: Annotated[
        str | None, typer.Option(metavar="24h", help="When to hold without a conclusion.")
    ] = None
    reason: Reason = ""
    as_json: Json = False

    def terms(self) -> dict[str, Any]:
        """The terms that are said, by their names on the admin port."""
        names = {one.name for one in fields(self)} - _OTHERS
        said = {name: getattr(self, name) for name in sorted(names)}
        return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class ShadowOptions(StartOptions):
    """Options of a shadow."""

    percent: Annotated[float | None, typer.Option(metavar="P", help="Share that is copied.")] = None
    max_disagreement_percent: Annotated[
        float | None, typer.Option(metavar="P", help="Ends well below this share of answers.")
    ] = None


@dataclass(frozen=True, slots=True)
class SplitOptions(StartOptions):
    """Options of the kinds that divide traffic."""

    max_bad_percent: Annotated[
        float | None, typer.Option(metavar="P", help="Passes a step below.")
    ] = None
    slow_factor: Annotated[
        float | None,
        typer.Option(metavar="2", help="An answer later than so many times stable's p99 is slow."),
    ] = None
    warm_up: Annotated[
        str | None,
        typer.Option(
            metavar="10s", help="The candidate's answers of this first time are not slow."
        ),
    ] = None
    warm_up_requests: Annotated[
        int | None, typer.Option(metavar="N", help="The same of its first requests.")
    ] = None
    sticky_header: Annotated[
        str | None, typer.Option(metavar="H", help="Request header that chooses the arm.")
    ] = None
    fallback: Annotated[
        bool | None,
        typer.Option(" /--no-fallback", help="Let callers see the candidate's failures."),
    ] = None


@dataclass(frozen=True, slots=True)
class AbOptions(SplitOptions):
    """Options of an A/B test."""

    percent: Annotated[float | None, typer.Option(metavar="P", help="The candidate's share.")] = (
        None
    )


@dataclass(frozen=True, slots=True)
class CanaryOptions(SplitOptions):
    """Options of a canary and of its plan."""

    steps: Annotated[
        Any, typer.Option(metavar="1,5,25,50,100", help="Shares in percent.", parser=parse_steps)
    ] = None
    require_approval: Annotated[
        bool | None, typer.Option("--require-approval", help="By another person.")
    ] = None
    watch: Annotated[
        str | None,
        typer.Option(
            metavar="24h", help="Compare with the version before after promotion; 0: do not."
        ),
    ] = None
    holdback_percent: Annotated[
        float | None, typer.Option(metavar="5", help="Share of the version before meanwhile.")
    ] = None
    requests_per_second: Annotated[
        float | None, typer.Option(metavar="20", help="Requests.", rich_help_panel=_SUPPOSED)
    ] = None
    failed_percent: Annotated[
        float | None,
        typer.Option(metavar="P", help="Requests that fail.", rich_help_panel=_SUPPOSED),
    ] = None
    slow_percent: Annotated[
        float | None,
        typer.Option(metavar="P", help="Requests that are slow.", rich_help_panel=_SUPPOSED),
    ] = None

    def supposed(self) -> dict[str, float]:
        """The traffic that is supposed, by its names on the admin port."""
        said = {name: getattr(self, name) for name in _TRAFFIC}
        return {name: value for name, value in said.items() if value is not None}


_TRAFFIC: Final = ("requests_per_second", "failed_percent", "slow_percent")
#: Options that are no terms.
_OTHERS: Final = {one.name for one in fields(ServerOptions)} | {"reason", "as_json", *_TRAFFIC}
