"""``penstock token``: make a token and the lines that make it known to a server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import argparse

_SCOPES: Final = ("predict", "observe", "operate", "approve")


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "token",
        help="make a token for the admin port",
        description="Print a new token, and the lines for the tokens file that make it known.",
    )
    parser.add_argument("name", metavar="NAME", help="who is to bear it")
    parser.add_argument(
        "--scope", action="append", required=True, choices=_SCOPES, help="repeatable"
    )
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Print it; the token itself goes to standard error, so that a file can take the rest."""
    import hashlib
    import json
    import secrets

    token = secrets.token_urlsafe(32)
    print(f"token (shown once): {token}", file=sys.stderr)
    print("[[token]]")
    print(f"name = {json.dumps(namespace.name)}")
    print(f'sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"')
    print(f"scopes = {json.dumps(namespace.scope)}")
    return 0
