"""A verb: a function with typed parameters that becomes a command of the command line."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, fields, is_dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any, Final, get_origin, get_type_hints

import typer
from typer.core import TyperCommand
from typer.exceptions import TyperException

from .plain_values import read_plain_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    #: Of Typer, which has no public name for it.
    Command = Any

#: Metavar of an option that may stand without its value, which is then ``true``.
SWITCH: Final = "[BOOL]"
_BOOLEANS: Final = {"true", "false", "1", "0", "yes", "no"}
#: What Rich would take for a style, as in ``[rollout]``.
_MARKUP: Final = re.compile(r"\[(?=[a-z#/@])")


def command_of(name: str, function: Callable[..., int], panel: str | None = None) -> Command:
    """The command that runs a verb.

    Args:
        name: The word that is typed.
        function: The verb; see `flat`. Its docstring is the help.
        panel: Heading under which the command is listed.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    paragraphs = as_written(inspect.getdoc(function) or "").split("\n\n")
    text = "\n\n".join(one.replace("\n", " ") for one in paragraphs)
    app.command(name, help=text, cls=_VerbCommand, rich_help_panel=panel)(flat(function))
    command = typer.main.get_command(app)
    for one in command.params:
        adapted(one)
    return command


def adapted(parameter: Any) -> Any:
    """The same option or argument of Typer; see `read_plain_values`.

    The help shows no value of an option that has none.
    """
    if getattr(parameter, "is_flag", False):
        parameter.metavar = ""
    return read_plain_values(parameter)


def as_written(text: str) -> str:
    """Text that Rich shows as it is."""
    return _MARKUP.sub(r"\\[", text)


def flat(function: Callable[..., int]) -> Callable[..., int]:
    """The verb as Typer wants it: every option is a parameter.

    A parameter that is a dataclass stands for its fields, so that verbs can share options. A
    parameter that is neither that nor annotated with an option or an argument keeps its default: it
    is for tests.

    Raises:
        TypeError: An annotation is a text, so the option in it would be lost: the file of the verb
            imports `annotations` from `__future__`.
    """
    shared: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for one in inspect.signature(function).parameters.values():
        if isinstance(one.annotation, str):
            raise TypeError(f"{function.__qualname__}: the annotation of {one.name} is a text")
        if is_dataclass(one.annotation):
            shared[one.name] = one.annotation
            parameters += _fields_of(one.annotation)
        elif one.annotation is typer.Context or get_origin(one.annotation) is Annotated:
            parameters.append(one.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    def call(**values: Any) -> int:
        for name, kind in shared.items():
            values[name] = kind(**{one.name: values.pop(one.name) for one in fields(kind)})
        return function(**values)

    made: Any = call
    made.__name__ = function.__name__
    made.__signature__ = inspect.Signature(parameters)  # read by inspect
    return call


def _fields_of(kind: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    for one in fields(kind):
        default = inspect.Parameter.empty if one.default is MISSING else one.default
        yield inspect.Parameter(
            one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[one.name]
        )


class _VerbCommand(TyperCommand):
    """A command whose switches may stand without a value: ``--access-log`` is ``=true``."""

    def get_help_option(self, ctx: Any) -> Any:
        """The option ``--help``; see `adapted`."""
        return adapted(super().get_help_option(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give switches without a value the value ``true``."""
        switches = {
            name
            for one in self.params
            if getattr(one, "metavar", None) == SWITCH
            for name in one.opts
        }
        try:
            return super().parse_args(ctx, list(_with_values(args, switches)))
        except TyperException as error:
            if getattr(error, "ctx", ctx) is None:  # of a missing value it is
                error.ctx = ctx  # type: ignore[attr-defined]
            raise


def _with_values(arguments: list[str], switches: set[str]) -> Iterator[str]:
    literal = False
    for one, after in zip_longest(arguments, arguments[1:], fillvalue=""):
        literal = literal or one == "--"
        bare = not literal and one in switches and after.lower() not in _BOOLEANS
        yield f"{one}=true" if bare else one
