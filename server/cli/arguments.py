"""Arguments and options that several verbs share."""

from typing import Annotated

import typer

from .completion import complete_model, complete_version

Model = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="Name of the model.", autocompletion=complete_model),
]
Version = Annotated[
    int,
    typer.Argument(
        metavar="VERSION", help="Number of the version.", autocompletion=complete_version
    ),
]
OnlyVersion = Annotated[
    str | None,
    typer.Option(
        "--version", metavar="VERSION", help="Only this one.", autocompletion=complete_version
    ),
]
VersionOrAlias = Annotated[
    str | None,
    typer.Option(
        "--version",
        metavar="VERSION",
        help="Number or alias; default: the stable one.",
        autocompletion=complete_version,
    ),
]
KeyColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--key", metavar="COLUMN", help="Carry this column to the output; may be repeated."
    ),
]
AllColumns = Annotated[bool, typer.Option("--all-columns", help="Carry all columns to the output.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; it is on record.", show_default=False)
]
Since = Annotated[str, typer.Option(metavar="TIME", help="How far back.")]
