"""``penstock shadow | canary | ab | rollout``: trying a version on live traffic, step by step."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from .ab_size import add_size
from .client import CommandFailed, add_client_options, find_server
from .operate import user
from .rollout_plan import add_supposed, ask_plan, short_lines, show_plan

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_EXIT_FAILURE: Final = 1
_PIPE_COLUMNS: Final = 240
#: Options that go into the body as they are, where they are given.
_TERMS: Final = (
    "steps",
    "percent",
    "hold",
    "min_requests",
    "max_bad_percent",
    "alpha",
    "require_approval",
    "deadline",
    "sticky_header",
    "fallback",
    "max_disagreement_percent",
    "watch",
    "holdback_percent",
    "slow_factor",
    "warm_up",
    "warm_up_requests",
)


def add_parser(verbs: Any) -> None:
    """Add the verbs."""
    canary = _group(verbs, "canary", "give a version a growing share of the traffic")
    parser = _start(canary, "canary", "begin; it is promoted or rolled back by the evidence")
    _add_canary_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="the plan alone; starts nothing")
    parser = _start(canary, "canary", "what is to be expected of it; starts nothing", "plan")
    _add_canary_options(parser)
    parser.set_defaults(dry_run=True)
    for action, text in (
        ("pause", "stop it for now; shares stay"),
        ("resume", "let it go on"),
        ("promote", "make the candidate stable now"),
        ("abort", "take the candidate's share away, for good"),
    ):
        _act(canary, action, action, text)
    parser = _act(canary, "approve", "approve", "approve the candidate of somebody else's rollout")
    parser.add_argument("--digest", metavar="DIGEST", help="of what you looked at; default: now")
    shadow = _group(verbs, "shadow", "let a version compute a copy of the traffic")
    parser = _start(shadow, "shadow", "begin; callers notice nothing")
    parser.add_argument("--percent", type=float, metavar="P", help="share that is copied")
    parser.add_argument("--max-disagreement-percent", type=float, metavar="P")
    _act(shadow, "stop", "finish", "end it")
    ab = _group(verbs, "ab", "compare two versions at a fixed share")
    parser = _start(ab, "ab", "begin")
    parser.add_argument("--percent", type=float, metavar="P", help="the candidate's share")
    _add_split_options(parser)
    _act(ab, "stop", "finish", "end it; stable stays what it is")
    _add_report(ab, "result", "what it shows; may be looked at any time")
    add_size(ab)
    rollout = _group(verbs, "rollout", "how rollouts stand")
    _add_report(rollout, "report", "everything about the last rollout of a model")
    parser = rollout.add_parser("status", help="all rollouts, one line each")
    parser.add_argument("--json", action="store_true", help="as the admin port says it")
    add_client_options(parser)
    parser.set_defaults(run=_guarded(run_status))


def run_start(namespace: argparse.Namespace, kind: str) -> int:
    """Begin a rollout; returns the exit status."""
    body = {"kind": kind, "version": namespace.version, **_who(namespace)}
    for name in _TERMS:
        value = getattr(namespace, name, None)
        if value is not None:
            body[name] = value
    client = find_server(namespace)
    if kind == "canary":
        found = ask_plan(client, namespace, body)
        if namespace.dry_run:
            show_plan(found, as_json=namespace.json)
            return 0
        for line in short_lines(found):
            print(line)
    return _say(client.ask("POST", _path(namespace), body))


def run_act(namespace: argparse.Namespace, action: str) -> int:
    """Move a rollout; returns the exit status."""
    client, body = find_server(namespace), _who(namespace)
    if action == "approve":
        body["digest"] = namespace.digest or client.get(_path(namespace))["digest"]
    outcome = client.ask("POST", f"{_path(namespace)}/{action}", body)
    if action == "approve":
        rollout = outcome["rollout"]
        print(f"{rollout['id']}: {rollout['approval']['by']} has approved {rollout['digest']}")
    return _say(outcome)


def run_report(namespace: argparse.Namespace) -> int:
    """Print a report, or write it as a page; returns the exit status."""
    found = find_server(namespace).get(f"{_path(namespace)}/report")
    if namespace.output is not None:
        from penstock.server.console.rollout_page import rollout_page

        page = rollout_page(found)
        try:
            Path(namespace.output).write_text(page, encoding="utf-8")
        except OSError as error:
            raise CommandFailed(f"{namespace.output} cannot be written: {error}") from None
        print(f"{namespace.output}: rollout {found['id']}, {found['phase']}")
    elif namespace.json:
        print(json.dumps(found, indent=2))
    else:
        from .rollout_view import report_view

        _print(report_view(found))
    return 0


def run_status(namespace: argparse.Namespace) -> int:
    """Print how all rollouts stand; returns the exit status."""
    models = find_server(namespace).get("/admin/status")["models"]
    rollouts = [one["rollout"] for one in models if one["rollout"] is not None]
    if namespace.json:
        print(json.dumps(rollouts, indent=2))
    elif not rollouts:
        print("no rollout is in progress, and none was")
    else:
        from .rollout_view import rollouts_view

        _print(rollouts_view(rollouts))
    return 0


def _group(verbs: Any, name: str, text: str) -> Any:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}."
    )
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _start(group: Any, kind: str, text: str, verb: str = "start") -> argparse.ArgumentParser:
    ready = "Answers when every worker has the candidate ready. " if verb == "start" else ""
    parser: argparse.ArgumentParser = group.add_parser(
        verb,
        help=text,
        description=f"{ready}What is not said here comes from [rollout] in model.toml.",
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("version", type=int, metavar="VERSION")
    parser.add_argument("--hold", metavar="5m", help="shortest time in each step")
    parser.add_argument("--min-requests", type=int, metavar="N", help="of the candidate, each step")
    parser.add_argument("--alpha", type=float, metavar="0.05", help="how often to err")
    parser.add_argument("--deadline", metavar="24h", help="when to hold without a conclusion")
    _add_who(parser)
    parser.set_defaults(run=_guarded(partial(run_start, kind=kind)))
    return parser


def _add_canary_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=_steps, metavar="1,5,25,50,100", help="shares in percent")
    parser.add_argument("--require-approval", action="store_true", default=None, help="by another")
    parser.add_argument(
        "--watch", metavar="24h", help="compare with the version before after promotion; 0: do not"
    )
    parser.add_argument(
        "--holdback-percent", type=float, metavar="5", help="share of the version before meanwhile"
    )
    _add_split_options(parser)
    parser.add_argument("--json", action="store_true", help="the plan as the admin port says it")
    add_supposed(parser)


def _add_split_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-bad-percent", type=float, metavar="P", help="passes a step below")
    parser.add_argument("--sticky-header", metavar="H", help="request header that chooses the arm")
    parser.add_argument(
        "--no-fallback",
        dest="fallback",
        action="store_false",
        default=None,
        help="let callers see the candidate's failures",
    )


def _act(group: Any, verb: str, action: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = group.add_parser(verb, help=text, description=text)
    parser.add_argument("model", metavar="MODEL")
    _add_who(parser)
    parser.set_defaults(run=_guarded(partial(run_act, action=action)))
    return parser


def _add_report(group: Any, verb: str, text: str) -> None:
    parser: argparse.ArgumentParser = group.add_parser(verb, help=text, description=text)
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--json", action="store_true", help="as the admin port says it")
    parser.add_argument("-o", "--output", metavar="FILE.html", help="as a page with plots")
    add_client_options(parser)
    parser.set_defaults(run=_guarded(run_report))


def _add_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; it is on record")
    add_client_options(parser)


def _guarded(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    def guarded(namespace: argparse.Namespace) -> int:
        try:
            return run(namespace)
        except CommandFailed as failure:
            print(f"penstock: {failure}", file=sys.stderr)
            return _EXIT_FAILURE

    return guarded


def _steps(text: str) -> list[float]:
    import argparse

    try:
        return [float(one) for one in text.split(",")]
    except ValueError:
        message = f"{text!r} is not a list of percentages; expected such as 1,5,25,50,100"
        raise argparse.ArgumentTypeError(message) from None


def _who(namespace: argparse.Namespace) -> dict[str, Any]:
    said = {"reason": namespace.reason, "by": user()}
    return {key: one for key, one in said.items() if one}


def _path(namespace: argparse.Namespace) -> str:
    return f"/admin/models/{quote(namespace.model, safe='')}/rollout"


def _say(outcome: dict[str, Any]) -> int:
    rollout = outcome["rollout"]
    share = f" at {rollout['percent']:g} %" if rollout["percent"] else ""
    print(
        f"{rollout['id']}: {rollout['kind']} of {rollout['model']} version "
        f"{rollout['candidate']} is {rollout['phase']}{share}: {rollout['message']}"
    )
    for worker, why in outcome["waiting"].items():
        print(f"  not yet: {worker}: {why}")
    return 0 if outcome["converged"] else _EXIT_FAILURE


def _print(view: Any) -> None:
    """To a terminal as wide as it is; to a file or a pipe in whole lines."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS).print(view)
