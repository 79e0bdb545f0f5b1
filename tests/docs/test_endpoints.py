"""The endpoints of the admin port that the pages name exist."""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import TYPE_CHECKING, Any

from penstock.server.control import api
from penstock.server.control.api.openapi import Endpoint
from penstock.server.control.api.rollout_api import RolloutApi

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATH = re.compile(r"/admin/[\w{}/-]*[\w}]")


def endpoints() -> Iterator[Endpoint]:
    """All that any module of the admin API declares."""
    nothing: Any = None
    yield from RolloutApi(*[nothing] * 6).handlers()
    for found in pkgutil.iter_modules(api.__path__):
        module = importlib.import_module(f"{api.__name__}.{found.name}")
        for value in vars(module).values():
            several = value if isinstance(value, list | tuple) else (value,)
            yield from (one for one in several if isinstance(one, Endpoint))


def shape(path: str) -> str:
    """The path without the names of its parameters, and without those of models in examples."""
    path = re.sub(r"\{\w+\}", "{}", path)
    path = re.sub(r"/models/[\w-]+", "/models/{}", path)
    return re.sub(r"/versions/\w+", "/versions/{}", path)


def named(text: str) -> set[str]:
    """The paths on a page; of ``…/load`, `unload`` only the first is seen."""
    return {shape(path) for path in PATH.findall(text)}


def test_the_pages_name_endpoints_that_exist(pages: list[Path]) -> None:
    known = {shape(one.path) for one in endpoints()}
    assert len(known) > 15
    assert {page.name: named(page.read_text()) - known for page in pages} == {
        page.name: set() for page in pages
    }


def test_an_endpoint_that_does_not_exist_is_found() -> None:
    known = {shape(one.path) for one in endpoints()}
    page = "`GET /admin/models/{m}/drift`, `POST /admin/models/iris/promot`, `/admin/stats`"
    assert named(page) - known == {"/admin/models/{}/promot", "/admin/stats"}
