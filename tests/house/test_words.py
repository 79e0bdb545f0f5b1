"""The sources use the glossary's words, and say nothing of the machine they were written on."""

from __future__ import annotations

import io
import re
import tokenize
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import ROOMS

if TYPE_CHECKING:
    from collections.abc import Callable

#: Written so that no pattern matches itself.
FORBIDDEN = re.compile(
    r"""
    /[w]ork/ | /[r]oot/ | /[h]ome/[a-z] | /[U]sers/ | /[o]pt/(pypi|wheels)   # somebody's machine
    | ^[<]{7}[ ] | ^[>]{7}[ ]                                                 # an unfinished merge
    | \b[N]otImplementedError\b                                               # a stub
    """,
    re.VERBOSE | re.MULTILINE,
)


def found(tree: Any) -> list[str]:
    """Where forbidden words are."""
    return [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1} {match.group()}"
        for path, text in tree.texts()
        for match in FORBIDDEN.finditer(text)
    ]


def test_no_forbidden_words(project: Any) -> None:
    assert found(project) == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("docs/a.md", ["", "work", "main"]),
        ("Makefile", ["", "root", ".venv"]),
        ("deploy/a.yml", ["", "home", "me"]),
        (".ci/run", ["", "opt", "wheels"]),
    ],
)
def test_a_forbidden_path_is_found(plant: Callable[..., Any], path: str, words: list[str]) -> None:
    assert len(found(plant({path: "fine\n" + "/".join(words)}))) == 1


def test_a_stub_is_found(plant: Callable[..., Any]) -> None:
    assert len(found(plant({"server/a.py": "raise Not" + "ImplementedError"}))) == 1


def test_ordinary_paths_pass(plant: Callable[..., Any]) -> None:
    assert found(plant({"README.md": "/v2/models and /models/work and ~/.cache"})) == []


#: Identifiers that were replaced by the field's words; docs/glossary.md has those.
RETIRED = {
    *("birth", "board", "chronicle", "companies", "company", "conductor", "courier", "desk"),
    *("door", "doors", "examiner", "judge", "judges", "keeper", "lack", "ledger", "lives", "meter"),
    *("nap", "naps", "nudge", "onlookers", "outbox", "outlet", "patience", "pilot", "preamble"),
    *("reckon", "trip", "trips"),
}
SUSPECT = re.compile("|".join(RETIRED), re.IGNORECASE)
#: One part of a name: ``HaltPoll`` and ``_halt_poll`` both have the parts ``halt`` and ``poll``.
PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
#: Riddles of prose: a reader has to guess the noun.
RIDDLES = re.compile(
    r"""
    \b(its|their)[ ]like\b | \b[w]hom\b | \b[w]hoever\b | (?<!is[ ])\bwhat[ ]it[ ]was\b
    | \b(h[i]s|h[i]m)\b | \bat[ ]the[ ]door\b | \bin[ ]company\b | :[ ](Its[ ]name|The[ ]same)[.]$
    | ^["]*[ ]+\w+:[ ](
        Who|When|Where|Whose|Which|How[ ](many|much|often)|(As|What|Whether)[ ]it[ ]is
    )[.,;]
    """,
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)
#: Pages with entries of past releases, which stay as they were.
HISTORY = "CHANGELOG.md"


def retired(tree: Any) -> list[str]:
    """Identifiers with a retired word; names of tests are sentences and may have any."""
    return [
        f"{source.path}:{token.start[0]} {token.string}"
        for source in tree.sources(*ROOMS, "tests", "examples")
        if SUSPECT.search(source.text)
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline)
        if token.type == tokenize.NAME and not token.string.startswith("test_")
        if RETIRED & {part.lower() for part in PART.findall(token.string)}
    ]


def riddles(tree: Any) -> list[str]:
    """Phrases whose noun a reader has to guess."""
    return [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1} {match.group()}"
        for path, text in tree.texts()
        if path.suffix in {".py", ".md"} and path.name not in {HISTORY, "test_words.py"}
        for match in RIDDLES.finditer(text)
    ]


def entries(page: str) -> dict[str, str]:
    """The glossary: word -> meaning."""
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    return {word: meaning for word, meaning in rows if word not in {"word", "---"}}


def test_no_identifier_has_a_retired_word(project: Any) -> None:
    assert retired(project) == []


@pytest.mark.parametrize(
    "line",
    [
        "outbox = 1",
        "class OutBoxDoor: ...",
        "def open_door(): ...",
        "self._nap = 1",
        "LEDGER = 1",
        "f(judge=1)",
        "import courier",
    ],
)
def test_a_retired_word_is_found(plant: Callable[..., Any], line: str) -> None:
    assert len(retired(plant({"server/a.py": line}))) == 1


def test_words_that_only_resemble_retired_ones_pass(plant: Callable[..., Any]) -> None:
    words = "dashboard = keyboard = indoor = snap = relived = triple = lacked = 'board'  # a door"
    assert retired(plant({"server/a.py": words, "tests/a.py": "def test_the_door(): ..."})) == []


def test_no_riddles_in_prose(project: Any) -> None:
    assert riddles(project) == []


@pytest.mark.parametrize(
    "text",
    [
        "It waits for its LIKE.",
        "Remembers whom it answered.",
        "Whoever asks gets it.",
        "It says what it was.",
        "A visitor shows his token.",
        "Refused at the door.",
        "Runs in company.",
        "model: Its name.",
        "canary: The same.",
        "    at: When, Unix seconds.",
        "    rows: How many.",
        "    state: As it is.",
    ],
)
def test_a_riddle_is_found(plant: Callable[..., Any], text: str) -> None:
    assert len(riddles(plant({"server/a.py": f'"""{text}\n"""', "docs/a.md": "fine"}))) == 1
    assert len(riddles(plant({"server/a.py": "", "docs/a.md": text}))) == 1


def test_plain_sentences_pass(plant: Callable[..., Any]) -> None:
    text = "The same bytes are likely its own. Its name follows. Stable is what it was."
    assert riddles(plant({"docs/a.md": text, HISTORY: "Whoever"})) == []


def test_the_glossary_is_short_sorted_and_plain(project: Any) -> None:
    page = (project.root / "docs/glossary.md").read_text()
    words = entries(page)
    assert 20 <= len(words) <= 40
    assert list(words) == sorted(words)
    for word, meaning in words.items():
        assert meaning.count(".") == 1, f"{word}: one sentence"
        assert meaning.endswith("."), f"{word}: one sentence"
        assert not {part.lower() for part in PART.findall(word)} & RETIRED, f"{word} is retired"
    for place in ("docs/design.md", "CONTRIBUTING.md"):
        assert "glossary.md" in (project.root / place).read_text(), f"{place} has no link"
