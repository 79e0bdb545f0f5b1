"""Suggestions for an unknown verb."""

from __future__ import annotations

from typing import Final

from penstock.monitoring.files.wording import did_you_mean

from .verbs import GROUPS, MEMBERS, VERBS

_MOST: Final = 3


def verb_hint(word: str, path: str) -> str:
    """The end of a message: a question for the verb that may have been meant, or nothing.

    A verb of that name in another group comes first, then verbs of this group with a similar name.

    Args:
        word: Word that was typed.
        path: The words before it, such as ``canary``; empty if it is the first.
    """
    every = {*VERBS, *GROUPS} - {""}
    if elsewhere := sorted(one for one in every if one.rpartition(" ")[2] == word):
        return f"; did you mean {' or '.join(elsewhere[:_MOST])}?"
    start = f"{path} " if path else ""
    following = {one.removeprefix(start) for one in every if one.startswith(start)}
    here = {one for one in following if " " not in one} | set(MEMBERS.get(path, ()))
    return did_you_mean(word, sorted(here))
