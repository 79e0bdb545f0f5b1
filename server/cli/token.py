"""``penstock token``: make a token and the lines that make it known to a server."""

from enum import StrEnum
from typing import Annotated

import typer

from .arguments import Json
from .output import show_json


class Scope(StrEnum):
    """The rights of the bearer of a token."""

    PREDICT = "predict"
    OBSERVE = "observe"
    OPERATE = "operate"
    APPROVE = "approve"


def run_token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who is to bear it.")],
    *,
    scope: Annotated[list[Scope], typer.Option(help="What it is for; repeatable.")],
    as_json: Json = False,
) -> int:
    """Make a token, and the lines for the tokens file that make it known.

    The token goes to standard error, so that a file can take the rest.
    """
    import hashlib
    import json
    import secrets
    import sys

    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    scopes = [str(one) for one in scope]
    if as_json:
        show_json({"token": token, "name": name, "sha256": digest, "scopes": scopes})
        return 0
    print(f"token (shown once): {token}", file=sys.stderr)
    print("[[token]]")
    print(f"name = {json.dumps(name)}")
    print(f'sha256 = "{digest}"')
    print(f"scopes = {json.dumps(scopes)}")
    return 0
