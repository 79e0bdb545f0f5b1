"""A bar for work that takes long: on a terminal only, on standard error, gone at the end."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Less than this is read or written before a bar could be read.
_BAR_BYTES: Final = 64 << 20


@contextmanager
def byte_bar(title: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """A bar of bytes; gives a function to be told of each piece, in bytes.

    Args:
        title: Name of the work.
        total_bytes: All bytes of the work.
    """
    if total_bytes < _BAR_BYTES or not sys.stderr.isatty():
        yield _nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(title), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total_bytes)
        yield lambda count: bar.advance(task, count)


@contextmanager
def count_bar(title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar of things that are counted; gives a function to be told of how many more there are.

    Args:
        title: Name of the work.
        total: Number of steps; ``None`` if it is not known.
    """
    if not sys.stderr.isatty():
        yield _nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn(title), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


def _nothing(_: int) -> None:
    """Nobody looks."""
