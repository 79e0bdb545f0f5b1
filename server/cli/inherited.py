"""Options before the last verb, as in ``penstock alerts --admin-url URL test SINK``."""

from __future__ import annotations

from typing import Any

import typer


def hand_on(ctx: Any, word: str) -> None:
    """Give the options of a verb that is a group, too, to the verb behind it.

    Args:
        ctx: Context of the group, in which its options are parsed.
        word: The verb behind it.

    Raises:
        typer.BadParameter: That verb has no such option, so the option would be lost.
    """
    own = {one.name: one for one in ctx.command.params}
    known = {one.name for one in ctx.command.commands[word].params}
    given = {
        name: value
        for name, value in ctx.params.items()
        if getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"
    }
    for name in given:
        if name not in known:
            raise typer.BadParameter(f"{own[name].opts[0]} is no option of {word}")
    ctx.default_map = {word: given}
