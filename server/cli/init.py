"""``penstock init``: the files of a new server, with every option explained."""

from pathlib import Path
from typing import Annotated, Final

import typer

from .arguments import Json
from .command_failed import CommandFailed
from .output import show_json

SERVER_FILE: Final = "penstock.toml"
MODEL_FILE: Final = "model.toml"


def run_init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write them.")] = Path(),
    *,
    registry: Annotated[
        str, typer.Option(metavar="DIR", help="The model repository; made if it is not there.")
    ] = "models",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: Json = False,
) -> int:
    """Write penstock.toml and model.toml, with the default and the meaning of every option.

    Then `penstock serve` in that directory serves its models.
    """
    from penstock.monitoring.files.atomic_file import replace_file
    from penstock.server.config.config_template import model_template, server_template

    texts = {
        directory / SERVER_FILE: server_template(registry),
        directory / MODEL_FILE: model_template(),
    }
    there = [str(path) for path in texts if path.exists()]
    if there and not force:
        raise CommandFailed(f"{' and '.join(there)} would be replaced; --force does it")
    made = directory / registry
    try:
        made.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            replace_file(path, text.encode(), 0o644)
    except OSError as error:
        raise CommandFailed(
            f"{error.filename or directory} cannot be written: {error.strerror or error}"
        ) from None
    if as_json:
        show_json({"files": [str(path) for path in texts], "registry": str(made)})
        return 0
    server, model = texts
    print(f"{server}: every option of the server")
    print(f"{model}: every option of one model; copy it to {made}/<model>/{MODEL_FILE}")
    print(f"{made}: put models here with penstock push, then penstock serve")
    return 0
