"""``penstock canary | shadow | ab start`` and ``canary plan``: begin a rollout, or forecast it."""

from typing import Annotated, Any

import typer

from .arguments import Model, Version
from .client import find_server, model_path
from .output import show_json
from .rollout_act import show_outcome
from .rollout_options import AbOptions, CanaryOptions, ShadowOptions, StartOptions
from .rollout_plan import ask_plan, plan_lines, short_lines
from .user import said_by


def run_canary(
    model: Model,
    version: Version,
    options: CanaryOptions,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="The plan alone; starts nothing.")
    ] = False,
) -> int:
    """Begin a canary; it is promoted or rolled back by the evidence.

    Answers when every worker has the candidate ready. Other options come from [rollout] in
    model.toml.
    """
    if dry_run:
        return run_plan(model, version, options)
    plan = ask_plan(find_server(options), model, version, options)
    if not options.as_json:
        for line in short_lines(plan):
            print(line)
    return _start("canary", model, version, options, plan=plan)


def run_plan(model: Model, version: Version, options: CanaryOptions) -> int:
    """Forecast a canary; nothing is started.

    Options that are not given come from [rollout] in model.toml.
    """
    found = ask_plan(find_server(options), model, version, options)
    if options.as_json:
        show_json(found)
    else:
        print("\n".join(plan_lines(found)))
    return 0


def run_shadow(model: Model, version: Version, options: ShadowOptions) -> int:
    """Begin a shadow; callers notice nothing.

    Answers when every worker has the candidate ready. Other options come from [rollout] in
    model.toml.
    """
    return _start("shadow", model, version, options)


def run_ab(model: Model, version: Version, options: AbOptions) -> int:
    """Begin an A/B test.

    Answers when every worker has the candidate ready. Other options come from [rollout] in
    model.toml.
    """
    return _start("ab", model, version, options)


def _start(kind: str, model: str, version: int, options: StartOptions, **more: Any) -> int:
    """Begin a rollout; `more` is shown with its JSON."""
    body = {"kind": kind, "version": version, **said_by(options.reason), **options.terms()}
    outcome = find_server(options).ask("POST", model_path(model, "/rollout"), body)
    return show_outcome(outcome | more, as_json=options.as_json)
