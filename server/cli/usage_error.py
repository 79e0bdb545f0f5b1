"""What is said of a wrong command line: the usage, what is wrong, and where the help is."""

from __future__ import annotations

from typing import Any, Final

from penstock.monitoring.files.wording import did_you_mean

#: Words of the library that reads the values -> our own.
_WORDS: Final = {
    "Input should be a valid integer": "expected a whole number",
    "Input should be a valid number": "expected a number",
    ", unable to parse string as an integer": "",
    ", unable to parse string as a number": "",
    "Value error, ": "",
    "Invalid value: ": "",
}


def usage_error_lines(error: Any, program: str) -> list[str]:
    """The lines for standard error; the last one says it all.

    Args:
        error: A `typer.exceptions.TyperException`.
        program: Name of the command, for an error that knows no verb.
    """
    context = getattr(error, "ctx", None)
    lines = [] if context is None else [context.get_usage().replace("Usage:", "usage:", 1)]
    where = program if context is None else context.command_path
    text = _text(error)
    see = " See" if text.endswith("?") else "; see"
    return [*lines, f"{program}: {text}{see} {where} --help"]


def _text(error: Any) -> str:
    if hasattr(error, "possibilities"):
        name = error.option_name
        return f"no such option {name}{did_you_mean(name, list(error.possibilities or ()))}"
    text = " ".join(error.format_message().split()).rstrip(".")
    for theirs, ours in _WORDS.items():
        text = text.replace(theirs, ours)
    return text[:1].lower() + text[1:]
