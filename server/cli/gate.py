"""``penstock gate run | show | approve | override``: what a version must show before it serves."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Json, Model, Reason, Version
from .client import ServerOptions, find_server, model_path
from .command_failed import CommandFailed
from .exits import Exit
from .output import show, show_json
from .registry_config import server_config
from .user import said_by

if TYPE_CHECKING:
    from penstock.server.gates.gate_order import GatedVersion

_Page = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE.html", help="The report as a page.")
]


@dataclass(frozen=True, slots=True)
class LetInOptions(ServerOptions):
    """The options of letting a version in."""

    digest: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="Of what you looked at; default: of now."),
    ] = None
    reason: Reason = ""
    as_json: Json = False


def run_run(
    registry: Annotated[Path, typer.Argument(metavar="REGISTRY", help="The model repository.")],
    model: Model,
    version: Version,
    *,
    against: Annotated[
        int | None,
        typer.Option(metavar="N", help="Version to compare with; default: the next lower one."),
    ] = None,
    output: _Page = None,
    as_json: Json = False,
) -> int:
    """Run the gates of a version here, no server needed; nothing is recorded.

    Exit status 1: a gate does not pass.
    """
    from penstock.runtimes.contract import ModelLoadError
    from penstock.server.config.model_config import ModelConfig, read_model_config
    from penstock.server.files.config_error import ConfigError
    from penstock.server.gates.gate_order import GateOrder, question_of
    from penstock.server.gates.gate_process import gate_report

    home = registry / model
    try:
        path = home / "model.toml"
        config = read_model_config(path) if path.exists() else ModelConfig()
        if not config.gates.measured:
            raise CommandFailed(f"{path} has no gates; expected a table [gates]")
        subject, said = _version(home, version)
        other = _lower(home, version) if against is None else against
        order = GateOrder(
            model,
            home,
            config,
            subject,
            None if other is None else _version(home, other)[0],
            said,
            question_of(subject.digest, config.gates, home),
        )
        report = gate_report(server_config(registry), order).to_json()
    except (ConfigError, ModelLoadError, OSError) as error:
        raise CommandFailed(error) from None
    if output is not None:
        _write_page(report, output)
    if as_json:
        show_json(report)
    else:
        _show(report)
    return Exit.DONE if report["passed"] else Exit.FAILED


def run_show(
    model: Model, version: Version, server: ServerOptions, *, output: _Page = None,
    as_json: Json = False,
) -> int:  # fmt: skip
    """Show what a version has shown a server, and who approved it."""
    found = find_server(server).get(model_path(model, f"/versions/{version}/gates"))
    report = found["report"]
    if report is not None and output is not None:
        _write_page(report, output)
    if as_json:
        show_json(found)
        return 0
    if report is not None:
        _show(report)
    _tell(found)
    return 0


def run_approve(model: Model, version: Version, options: LetInOptions) -> int:
    """Approve a version that somebody else pushed."""
    return _let_in("approve", model, version, options)


def run_override(model: Model, version: Version, options: LetInOptions) -> int:
    """Let a version in whatever its gates say. Needs --reason."""
    return _let_in("override", model, version, options)


def _let_in(action: str, model: str, version: int, options: LetInOptions) -> int:
    client = find_server(options)
    path = model_path(model, f"/versions/{version}/gates")
    digest = options.digest or client.get(path)["digest"]
    found = client.ask("POST", f"{path}/{action}", said_by(options.reason) | {"digest": digest})
    if options.as_json:
        show_json(found)
    else:
        _tell(found)
    return 0


def _tell(found: dict[str, Any]) -> None:
    from datetime import UTC, datetime

    print(
        f"{found['model']} version {found['version']}: {found['state']} {found['reason']}".strip()
    )
    for one in found["approvals"]:
        until = datetime.fromtimestamp(one["until"], UTC)
        what = "let in by" if one["override"] else "approved by"
        print(f"  {what} {one['by']}, until {until:%Y-%m-%d %H:%M} UTC, {one['digest']}")


def _write_page(report: dict[str, Any], output: Path) -> None:
    from penstock.server.console.gate_page import gate_page

    try:
        output.write_text(gate_page(report), encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{output} cannot be written: {error.strerror or error}") from None


def _show(report: dict[str, Any]) -> None:
    from .gate_view import report_view

    show(report_view(report))


def _version(home: Path, version: int) -> "tuple[GatedVersion, dict[str, str]]":
    """A version of the registry, and what is said of it."""
    from penstock.server.files.roots import roots_of
    from penstock.server.gates.gate_order import GatedVersion
    from penstock.server.registry.manifest import digest_of
    from penstock.server.registry.verification import hash_files, read_manifest

    place, roots = home / str(version), roots_of(home.parent)
    if not place.is_dir():
        raise CommandFailed(f"{place} does not exist")
    manifest = read_manifest(place, roots)
    if manifest is not None:
        found = GatedVersion(version, place, manifest.digest, manifest.signature)
        return found, manifest.about
    return GatedVersion(version, place, digest_of(hash_files(place, roots))), {}


def _lower(home: Path, version: int) -> int | None:
    numbers = [int(one.name) for one in home.iterdir() if one.name.isdecimal() and one.is_dir()]
    return max((one for one in numbers if one < version), default=None)
