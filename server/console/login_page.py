"""The page on which a visitor logs in with a token. Pure."""

from __future__ import annotations

from penstock.server.page.form import Field, Form
from penstock.server.page.page import Page


def login_page(root: str, why: str = "") -> Page:
    """The page.

    Args:
        root: Path of the console.
        why: The reason for the log-in; empty if the visitor opened the page.
    """
    page = Page("Log in")
    section = page.section("Token")
    if why:
        section.callout(why, "warning")
    section.text("On the machine of the server this opens the console without a token:")
    section.typed("penstock ui")
    section.form(
        Form(
            f"{root}/login",
            "Log in",
            "",
            (Field("token", "Token of the admin port", required=True, secret=True),),
            open=True,
        )
    )
    return page
