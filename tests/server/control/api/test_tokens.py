"""Tokens: who may do what."""

from __future__ import annotations

import hashlib

import pytest

from penstock.server.auth.tokens import OBSERVE, OPERATE, SCOPES, Tokens, read_tokens
from penstock.server.errors import Forbidden, Unauthorized
from penstock.server.files.config_error import ConfigError


def digest(secret):
    return hashlib.sha256(secret.encode()).hexdigest()


def listed(name, secret, *scopes):
    return f'[[token]]\nname = "{name}"\nsha256 = "{digest(secret)}"\nscopes = {list(scopes)}\n'


@pytest.fixture
def admin(tmp_path):
    path = tmp_path / "admin-token"
    path.write_text("own\n")
    return path


def test_the_server_s_own_token_may_do_everything(admin):
    tokens = Tokens(admin, None)
    assert all(tokens.check("Bearer own", scope).name == "admin" for scope in SCOPES)


@pytest.mark.parametrize("header", [None, "", "own", "Basic own", "Bearer", "Bearer other"])
def test_without_a_valid_token_nobody_is_let_in(admin, header):
    with pytest.raises(Unauthorized) as raised:
        Tokens(admin, None).check(header, OBSERVE)
    assert raised.value.headers[0][0] == b"www-authenticate"


def test_scopes_limit_what_a_token_covers_and_who_acts_may_look(admin, tmp_path):
    path = tmp_path / "tokens.toml"
    path.write_text(listed("watcher", "a", "observe") + listed("ci", "b", "operate"))
    tokens = Tokens(admin, path)
    assert tokens.check("bearer a", OBSERVE).name == "watcher"
    assert tokens.check("Bearer b", OBSERVE).name == "ci"
    assert tokens.check("Bearer b", OPERATE).name == "ci"
    with pytest.raises(Forbidden, match="needs the scope operate; token 'watcher' has observe"):
        tokens.check("Bearer a", OPERATE)


def test_the_file_is_read_again_when_it_changes_and_nonsense_changes_nothing(admin, tmp_path):
    path = tmp_path / "tokens.toml"
    path.write_text(listed("ci", "a", "operate"))
    tokens = Tokens(admin, path)
    for content in (listed("ci", "b", "operate"), "nonsense"):
        draft = tmp_path / "new"
        draft.write_text(content)
        draft.replace(path)
        assert tokens.check("Bearer b", OPERATE).name == "ci"
        with pytest.raises(Unauthorized):
            tokens.check("Bearer a", OPERATE)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = 1", "unknown key x; expected one of token"),
        ("token = 1", "token is 1, expected [[token]] tables"),
        ("[[token]]\nname = 'a'", "token[0].sha256 is missing"),
        ("[[token]]\nnam = 'a'", "unknown key token[0].nam; did you mean name?"),
        (listed("a", "a", "observe") + "[[token]]", "token[1].name is missing"),
        (
            listed("admin", "a", "observe"),
            "is 'admin', expected a text, and not 'admin'",
        ),
        (listed("", "a", "observe"), "token[0].name is '', expected a text"),
        (listed("a", "a", "observ"), "token[0].scopes[0] is 'observ', expected one of predict"),
        (listed("a", "a", "observ"), "did you mean observe?"),
        (listed("a", "a"), "expected a list of scopes"),
        (listed("a", "a", "observe") * 2, "two tokens have the same name"),
        (
            "[[token]]\nname = 'a'\nsha256 = 'AB'\nscopes = ['observe']",
            "not 64 hexadecimal digits",
        ),
    ],
)
def test_a_mistake_in_the_file_is_explained(tmp_path, content, words):
    path = tmp_path / "tokens.toml"
    path.write_text(content)
    with pytest.raises(ConfigError) as raised:
        read_tokens(path)
    assert words in str(raised.value)


@pytest.mark.parametrize("damage", ["[[token]", None])
def test_a_process_that_starts_anew_goes_on_with_the_tokens_that_held_last(admin, tmp_path, damage):
    path = tmp_path / "tokens.toml"
    path.write_text(listed("ci", "b", "operate"))
    Tokens(admin, path)
    if damage is None:
        path.unlink()
        admin.unlink()
    else:
        path.write_text(damage)
    again = Tokens(admin, path, patient=True)
    assert again.check("Bearer b", OPERATE).name == "ci"
    with pytest.raises(Unauthorized):
        again.check("Bearer c", OBSERVE)
    with pytest.raises((ConfigError, OSError)):
        Tokens(admin, path)  # a first start
    path.write_text(listed("ci", "c", "operate"))
    assert again.check("Bearer c", OPERATE).name == "ci"
    with pytest.raises(Unauthorized):
        again.check("Bearer b", OBSERVE)
