"""``penstock ui``: open the console in a browser, logged in."""

from typing import Annotated

import typer

from .arguments import Json
from .client import ServerOptions, find_server
from .output import show_json


def run_ui(
    server: ServerOptions,
    *,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the link, open nothing.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Open the console in a browser.

    The link logs in once, within a minute.
    """
    client = find_server(server)
    link = client.url + client.ask("POST", "/admin/console/links", {})["path"]
    if as_json:
        show_json({"link": link})
    else:
        print(link)
    if not no_open:
        import webbrowser

        webbrowser.open(link)
    return 0
