"""Values of the command line: read without pydantic, and the same as Typer reads them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.exceptions import TyperException

from penstock.server.cli.main import build_command

#: Usual values, and such as are refused or read in an unusual way.
VALUES = [
    *(None, "", " ", "a", "-1", "+1", "007", "1_000", "12", " 12", "1.0", "1.5", "1.", ".5"),
    *("1e3", "nan", "inf", "-0.0", "9" * 15, "9" * 16, "9" * 5000, "٣", "true", "no", "2 "),
    *("onnx", "ONNX", "json", "csv", "sqlite", "metrics", "10%,50%", "ä", "-", "~", "../x"),
    *(7, 2.5, True, False, Path("x"), b"x", "/", "/nowhere/at/all", "x" * 5000),
]
SEVERAL = [(), [], ["a"], ("a", "b"), ["1", ""], ["metrics", "nobody"], "a", [b"x"], [1, "a"]]


def parameters(group, path=""):
    """The options and arguments of all verbs, each with its place."""
    yield from ((f"{path} {one.name}", group, one) for one in group.params)
    for word in getattr(group, "commands", {}):
        yield from parameters(group.commands[word], f"{path} {word}")


def outcome(reader, value, parameter, context):
    try:
        read = reader.coerce(value, param=parameter, ctx=context)
    except TyperException as error:
        return "refused", str(error)
    except Exception as error:  # noqa: BLE001  of a kind of value that no command line has
        return "refused", type(error).__name__
    return type(read), repr(read)


def test_every_value_is_what_typer_makes_of_it(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("")
    kinds = {}
    for place, group, parameter in parameters(build_command()):
        about = parameter.type_descriptor
        kinds.setdefault(
            (str(about.annotation), repr(about.parameter_info)), (place, group, parameter)
        )
    annotations = [about[2].type_descriptor.annotation for about in kinds.values()]
    assert all(one in annotations for one in (str, int, float, bool, Path, list[str]))
    for place, group, parameter in kinds.values():
        context = group.context_class(group, info_name="penstock")
        typers = type(parameter).get_runtime_param(parameter)
        several = parameter.multiple or parameter.nargs == -1
        for value in SEVERAL if several else [*VALUES, str(tmp_path), str(secret), secret]:
            ours, its = (
                outcome(reader, value, parameter, context)
                for reader in (parameter.get_runtime_param(), typers)
            )
            assert ours == its, (place, value)


@pytest.mark.parametrize(
    "words",
    [
        ["serve", "models", "--port", "0", "--access-log"],
        ["status", "--json"],
        ["promote", "churn", "2", "--generation", "3"],
        ["export", "churn", "--labelled", "--output", "out.csv", "--since", "2d"],
        ["query", "select 1", "--format", "csv", "--rows", "5"],
        ["push", "models", "churn", "model.onnx", "--metric", "auc=0.9"],
    ],
)
def test_pydantic_is_not_imported_for_usual_values(words):
    code = f"""
import sys
from penstock.server.cli.main import build_command
verb = build_command()
with verb.make_context("penstock", {words!r}):
    with verb.commands[{words[0]!r}].make_context({words[0]!r}, {words[1:]!r}):
        print("pydantic" in sys.modules, "rich" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False False\n", "")
