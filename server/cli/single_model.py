"""``penstock serve model.onnx``: one model without a registry is published in a temporary one."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from penstock.monitoring.distribution import python_command

from .command_failed import CommandFailed
from .output import note

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIX: Final = "penstock-model-"
#: What a name of a model cannot have; see `penstock.server.registry.repository.MODEL_NAME`.
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MOST: Final = 128
#: Directory of a model in a cache of the Hugging Face hub: ``models--OWNER--NAME``.
_HUB: Final = re.compile(r"models--.+")
#: Locked by the server that serves the registry; its own directory is locked by who publishes.
_OWNED: Final = ".served"
#: How the reason begins that a command gives for its failure.
_SAID: Final = "penstock: "
#: What a model file is called in a directory, and what is none although it is called so.
_MODEL: Final = "model"
_CONFIG: Final = "model.toml"


def is_single_model(path: Path) -> bool:
    """Whether a path is a model file, or a directory of one model.

    That is an MLflow model, one of the Hugging Face hub, or a directory with a model file in it. A
    registry is none of them: it has a directory for each model.
    """
    from penstock.server.registry.hub_layout import is_hub_model

    if path.is_file() or (path / "MLmodel").is_file() or is_hub_model(path):
        return True
    try:
        inside = [one for one in path.iterdir() if not one.name.startswith(".")]
        named = any(one.stem == _MODEL and one.name != _CONFIG for one in inside if one.is_file())
        return named and not any(map(_has_versions, inside))
    except OSError:
        return False


def _has_versions(path: Path) -> bool:
    return path.is_dir() and any(one.name.isdigit() and one.is_dir() for one in path.iterdir())


def model_name(path: Path) -> str:
    """The name of a model that is called so on disk.

    Of a file it is the name without its ending, of a directory its name; of a version directory,
    whose name is a number, the name of the directory around it; in a cache of the Hugging Face hub
    that of the model there.
    """
    path = path.resolve()
    if path.is_dir() and (hub := next(filter(_HUB.fullmatch, reversed(path.parts)), "")):
        return _FOREIGN.sub("-", hub.rpartition("--")[2])[:_MOST].strip("-._") or "model"
    called = path.stem if path.is_file() else path.name
    if not path.is_file() and called.isdigit():
        called = path.parent.name
    return _FOREIGN.sub("-", called)[:_MOST].strip("-._") or "model"


@contextmanager
def temporary_registry(path: Path, name: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """A registry with one model, which is gone at the end.

    The model is published by a process of its own, as `penstock push` does it: that process loads
    the model once, and may crash.

    Args:
        path: The model file, or its directory.
        name: Name of the model.
        environ: Environment of the process that loads it.

    Raises:
        CommandFailed: It cannot be served; the process has said why.
        OSError: There is no room for it.
    """
    import tempfile  # only here: large for a supervisor

    from penstock.server.files.durable import locked, remove_tree

    _remove_stale(Path(tempfile.gettempdir()))
    draft = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
    with locked(draft / _OWNED, wait=False):
        home = draft.rename(draft.with_name(draft.name[1:]))  # locked before it can look stale
        try:
            _push(home, name, path, environ)
            yield home
        finally:
            remove_tree(home)


def _push(home: Path, name: str, path: Path, environ: Mapping[str, str]) -> None:
    command = python_command("-m", "penstock.server.cli.main", "push", str(home), name, str(path))
    if sys.stderr.isatty():
        note(f"checking {path}; a large model takes a while")
    done = subprocess.run(  # noqa: S603  our own
        command, env=environ, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode == 0:
        return
    before, _, reason = done.stderr.rpartition(f"{_SAID}")
    print(before, end="", file=sys.stderr)  # what libraries say
    if done.returncode < 0:
        reason = f"the process that loaded {path} was ended by signal {-done.returncode}"
    raise CommandFailed(reason.strip() or f"{path} cannot be published")


def _remove_stale(parent: Path) -> None:
    """Remove what servers that were killed have left: nobody holds its lock."""
    from penstock.server.files.durable import locked, remove_tree

    for one in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            facts = one.lstat()
            if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid():
                with locked(one / _OWNED, wait=False):
                    remove_tree(one)
