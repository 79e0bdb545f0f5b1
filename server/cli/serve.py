"""``penstock serve REGISTRY``: reads the options, and becomes the supervisor."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from penstock.monitoring.distribution import python_command

from .command_failed import CommandFailed
from .exits import Exit
from .serve_options import ServeOptions


def run_serve(
    options: ServeOptions,
    registry: Annotated[
        str | None,
        typer.Argument(
            metavar="MODELS", help="A registry: MODELS/<model>/<version>/; or one model file."
        ),
    ] = None,
    *,
    single_model: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A directory with one model, as KServe mounts it, instead of MODELS.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of one model; by default its file name."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Instead of ./penstock.toml.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for programs; as --log-format json.")
    ] = False,
) -> NoReturn:
    """Serve the models of a registry directory, or one model file.

    A model file of any runtime, an MLflow model or one of the Hugging Face hub is served under its
    file name, and nothing is kept: it is for a first look.

    Each option is also PENSTOCK_<NAME> in the environment and a key of penstock.toml.
    """
    if registry is not None and single_model is not None:
        raise CommandFailed("expected MODELS or --single-model, not both", Exit.USAGE)
    given = {"registry": registry or single_model, **asdict(options)}
    if as_json:
        given["log_format"] = "json"
    order = {"given": given, "config": config, "name": name, "single": single_model is not None}
    command = python_command("-m", "penstock.server.cli.supervise", json.dumps(order, default=str))
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606  our own
