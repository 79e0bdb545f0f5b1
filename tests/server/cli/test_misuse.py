"""A wrong command line: what is said, and what may have been meant."""

from __future__ import annotations

import pytest

from penstock.server.cli.main import build_command, main
from penstock.server.cli.verb import flat
from penstock.server.cli.verbs import GROUPS, MEMBERS, PANELS, VERBS

NOWHERE = "http://127.0.0.1:1"


def said_of(arguments, capsys):
    """The last line of standard error, after status 2."""
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("statsu", "no such command 'statsu'; did you mean status? See penstock --help"),
        ("pause m", "no such command 'pause'; did you mean canary pause? See penstock --help"),
        (
            "canary strat m 2",
            "no such command 'strat'; did you mean start? See penstock canary --help",
        ),
        (
            "model promot m 2",
            "no such command 'promot'; did you mean promote? See penstock model --help",
        ),
        ("zzzz", "no such command 'zzzz'; see penstock --help"),
        ("status --jsn", "no such option --jsn; did you mean --json? See penstock status --help"),
        ("status --zzzz", "no such option --zzzz; see penstock status --help"),
        ("serve m --ports 1", "no such option --ports; did you mean --port? "),
        ("promote m 2 --reason", "option '--reason' requires an argument; see penstock promote"),
        ("promote m", "missing argument 'VERSION'; see penstock promote --help"),
        ("promote m two", "invalid value for 'VERSION': expected a whole number; see penstock"),
        ("ab size --rate x", "invalid value for '--rate': expected a number; see penstock ab size"),
        ("query x --format y", "invalid value for '--format': 'y' is not one of 'table', 'json'"),
        ("token n", "missing option '--scope'. Choose from: predict, observe, operate, approve;"),
        ("canary start m 2 --steps a", "'a' is not a list of percentages"),
        ("ab size --rate 0.1", "expected one of --difference and --ratio, none was given"),
        ("alerts --open test hook", "--open is no option of test; see penstock alerts --help"),
        ("canary", "missing command; see penstock canary --help"),
    ],
)
def test_a_mistake_is_named_with_what_may_have_been_meant(typed, meant, capsys):
    assert meant in said_of(typed.split(), capsys)


def test_an_option_before_the_last_verb_counts(capsys):
    """It was lost: the sink of another server was tested."""
    assert main(["alerts", "--admin-url", NOWHERE, "--token", "x", "test", "hook"]) == 1
    assert f"penstock: {NOWHERE} cannot be reached" in capsys.readouterr().err


def test_the_option_behind_the_verb_wins(capsys):
    before = ["alerts", "--admin-url", "http://127.0.0.1:2", "--token", "x"]
    assert main([*before, "test", "hook", "--admin-url", NOWHERE]) == 1
    assert f"penstock: {NOWHERE} cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("push {0}/models m {0}/absent.onnx", "{0}/absent.onnx: No such file or directory"),
        ("feedback {0}/absent.csv", "{0}/absent.csv: No such file or directory; 0 labels were"),
        ("baseline build m 1 {0}/absent.csv --output x", "{0}/absent.csv cannot be read: No such"),
        (
            "export m --labelled -o {0}/x.csv --since soon --state-dir {0}",
            "--since: it is 'soon', expected a duration such as",
        ),
    ],
)
def test_a_failure_is_one_line_that_names_what_is_wrong(typed, said, capsys, tmp_path):
    assert main([one.format(tmp_path) for one in typed.split()]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"penstock: {said.format(tmp_path)}")


def leaves(command, words=()):
    """Every command with the words that lead to it; a verb that is a group, too, is one."""
    members = getattr(command, "commands", {})
    if not members or command.invoke_without_command:
        yield words, command
    for word in members:
        yield from leaves(members[word], (*words, word))


def test_the_tables_of_verbs_lead_to_commands():
    found = {" ".join(words): command for words, command in leaves(build_command())}
    assert set(VERBS) <= set(found)
    assert {one for path in MEMBERS for one in MEMBERS[path]} <= {*VERBS, *GROUPS}
    assert {path.split()[0] for path in VERBS} == set(PANELS) - {"model", "registry"}
    for words, command in found.items():
        assert command.help, words
        for one in command.params:
            assert one.help, (words, one.name)


def test_each_verb_shows_its_help(capsys):
    for words, _ in leaves(build_command()):
        assert main([*words, "--help"]) == 0
        shown = capsys.readouterr().out
        assert f"Usage: {' '.join(('penstock', *words))}" in shown


def test_a_verb_whose_options_would_be_lost_is_refused():
    def run(model: str) -> int: ...

    with pytest.raises(TypeError, match="the annotation of model is a text"):
        flat(run)


def test_the_help_lists_the_exit_statuses(capsys):
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Exit status: 0 done; 1 it failed; diff found a difference" in shown
