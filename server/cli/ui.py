"""``penstock ui``: open the console in a browser, logged in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from .client import CommandFailed, add_client_options, find_server

if TYPE_CHECKING:
    import argparse

_EXIT_FAILURE: Final = 1


def add_parser(verbs: Any) -> None:
    """Add the verb."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        "ui",
        help="open the console in a browser",
        description="Open the console in a browser. The link logs in once, within a minute.",
    )
    parser.add_argument("--no-open", action="store_true", help="print the link, open nothing")
    add_client_options(parser)
    parser.set_defaults(run=run)


def run(namespace: argparse.Namespace) -> int:
    """Print the link, and open it; returns the exit status."""
    try:
        client = find_server(namespace)
        link = client.url + client.ask("POST", "/admin/console/links", {})["path"]
    except CommandFailed as failure:
        print(f"penstock: {failure}", file=sys.stderr)
        return _EXIT_FAILURE
    print(link)
    if not namespace.no_open:
        import webbrowser

        webbrowser.open(link)
    return 0
