"""Groups of verbs: each verb is imported when it is asked for, so that the others cost nothing."""

from __future__ import annotations

from collections import UserDict
from importlib import import_module
from typing import TYPE_CHECKING, Any

from typer.core import TyperGroup

from .suggestion import verb_hint
from .verb import adapted, as_written, command_of
from .verbs import GROUPS, MEMBERS, PANELS, VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator


class VerbGroup(TyperGroup):
    """The verbs that follow some words, such as those of ``penstock canary``.

    Args:
        path: The words, with a blank between them; empty for the first word.
        **settings: Of `TyperGroup`.
    """

    def __init__(self, path: str, **settings: Any) -> None:
        text = as_written(GROUPS[path])
        super().__init__(
            name=path.rpartition(" ")[2], help=text, rich_markup_mode="rich", **settings
        )
        self.commands = _Members(path)
        self._path = path

    def get_help_option(self, ctx: Any) -> Any:
        """The option ``--help``; see `adapted`."""
        return adapted(super().get_help_option(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that a word stands for, and what follows; says what may have been meant."""
        word = args[0]
        if word not in self.commands and not word.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"no such command {word!r}{verb_hint(word, self._path)}")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: Any) -> list[str]:
        """The words that may follow, in the order of the table; nothing is imported for it."""
        del ctx
        return list(self.commands)


class _Members(UserDict[str, Any]):
    """Word -> its command or group, which is made when it is asked for."""

    def __init__(self, path: str) -> None:
        super().__init__(_members(path))
        self._panels = {} if path else PANELS

    def __getitem__(self, word: str) -> Any:
        path = super().__getitem__(word)
        panel = self._panels.get(path)
        if path not in VERBS:
            return VerbGroup(path, rich_help_panel=panel)
        file, _, name = VERBS[path].partition(":")
        function = getattr(import_module(f".{file}", __package__), name)
        command = command_of(word, function, panel)
        if path not in GROUPS:
            return command
        return VerbGroup(
            path,
            params=command.params,
            callback=command.callback,
            invoke_without_command=True,
            rich_help_panel=panel,
        )


def _members(path: str) -> Iterator[tuple[str, str]]:
    """The words that may follow, each with its path in the tables."""
    if not path:
        yield from ((one, one) for one in PANELS)
        return
    for one in VERBS:
        if one.startswith(f"{path} "):
            yield one.removeprefix(f"{path} "), one
    yield from ((one, one) for one in MEMBERS.get(path, ()))
