"""``penstock canary pause``, ``shadow stop`` and the like: move a rollout that runs."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from .arguments import Json, Model, Reason
from .client import ServerOptions, find_server, model_path
from .exits import Exit
from .output import show_json
from .user import said_by


@dataclass(frozen=True, slots=True)
class ActOptions(ServerOptions):
    """The options of every command to a rollout."""

    reason: Reason = ""
    as_json: Json = False


def run_pause(model: Model, options: ActOptions) -> int:
    """Stop the canary for now; shares stay."""
    return _act("pause", model, options)


def run_resume(model: Model, options: ActOptions) -> int:
    """Let the canary go on."""
    return _act("resume", model, options)


def run_promote(model: Model, options: ActOptions) -> int:
    """Make the candidate stable now."""
    return _act("promote", model, options)


def run_abort(model: Model, options: ActOptions) -> int:
    """Take the candidate's share away, for good."""
    return _act("abort", model, options)


def run_shadow_stop(model: Model, options: ActOptions) -> int:
    """End the shadow."""
    return _act("finish", model, options)


def run_ab_stop(model: Model, options: ActOptions) -> int:
    """End the A/B test; stable stays what it is."""
    return _act("finish", model, options)


def run_approve(
    model: Model,
    options: ActOptions,
    *,
    digest: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="Of what you looked at; default: of now."),
    ] = None,
) -> int:
    """Approve the candidate of somebody else's rollout."""
    client = find_server(options)
    path = model_path(model, "/rollout")
    body = said_by(options.reason) | {"digest": digest or client.get(path)["digest"]}
    outcome = client.ask("POST", f"{path}/approve", body)
    rollout = outcome["rollout"]
    if not options.as_json:
        print(f"{rollout['id']}: {rollout['approval']['by']} has approved {rollout['digest']}")
    return show_outcome(outcome, as_json=options.as_json)


def show_outcome(outcome: dict[str, Any], *, as_json: bool) -> int:
    """Print how a rollout stands after a command; returns the exit status."""
    rollout = outcome["rollout"]
    share = f" at {rollout['percent']:g} %" if rollout["percent"] else ""
    if as_json:
        show_json(outcome)
    else:
        print(
            f"{rollout['id']}: {rollout['kind']} of {rollout['model']} version "
            f"{rollout['candidate']} is {rollout['phase']}{share}: {rollout['message']}"
        )
        for worker, why in outcome["waiting"].items():
            print(f"  not yet: {worker}: {why}")
    return Exit.DONE if outcome["converged"] else Exit.FAILED


def _act(action: str, model: str, options: ActOptions) -> int:
    path = model_path(model, f"/rollout/{action}")
    outcome = find_server(options).ask("POST", path, said_by(options.reason))
    return show_outcome(outcome, as_json=options.as_json)
