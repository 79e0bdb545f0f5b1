"""``penstock diff``: compare two versions of a model, on disk or of a running server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .arguments import Json, Model, Version
from .client import ServerOptions, find_server, model_path
from .command_failed import CommandFailed
from .exits import Exit
from .output import show_json
from .version_changes import print_changes

if TYPE_CHECKING:
    from penstock.server.registry.manifest import Manifest
    from penstock.server.registry.signature_diff import Change


def run_diff(
    model: Model,
    before: Version,
    after: Version,
    server: ServerOptions,
    *,
    registry: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The model repository; else that of a server."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Compare two versions, in a registry or in that of a running server.

    Exit status 1: they differ.
    """
    if registry is None:
        changes = _of_server(server, model, before, after)
    else:
        changes = _on_disk(registry / model, before, after)
    if as_json:
        show_json({"model": model, "changes": [_as_json(one) for one in changes]})
    elif changes:
        print_changes(changes, str(before), str(after))
    else:
        print(f"the {'versions' if registry is None else 'manifests'} say the same")
    return Exit.FAILED if changes else Exit.DONE


def _as_json(change: "Change") -> dict[str, object]:
    from dataclasses import asdict

    return asdict(change)


def _of_server(server: ServerOptions, model: str, before: int, after: int) -> "tuple[Change, ...]":
    from penstock.server.registry.signature_diff import Change

    path = model_path(model, f"/diff?from={before}&to={after}")
    try:
        return tuple(Change(**one) for one in find_server(server).get(path)["changes"])
    except CommandFailed as failure:
        raise CommandFailed(failure, Exit.USAGE) from None


def _on_disk(home: Path, before: int, after: int) -> "tuple[Change, ...]":
    from penstock.runtimes.contract import ModelLoadError
    from penstock.server.registry.signature_diff import diff

    try:
        return diff(_manifest(home / str(before)), _manifest(home / str(after)))
    except ModelLoadError as error:
        raise CommandFailed(error, Exit.USAGE) from None


def _manifest(directory: Path) -> "Manifest":
    from penstock.server.files.roots import roots_of
    from penstock.server.registry.manifest import ManifestError
    from penstock.server.registry.verification import read_manifest

    manifest = read_manifest(directory, roots_of(directory.parents[1]))
    if manifest is None:
        raise ManifestError(f"{directory} has no manifest: it was not published with penstock push")
    return manifest
