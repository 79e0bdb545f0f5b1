"""Calls to the outside world that only named places may make: elsewhere they come by argument.

Wall clock and sleep are injected so that simulated time can stand in for them; the environment is
read once, for the configuration; only the command line and the load tests print.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVING = ("server", "runtimes", "batching", "monitoring")  # loadtests are clients, with real time
#: Call -> where it may be made (a file or a folder). A new entry needs its reason in the file.
SEAMS: dict[str, tuple[str, ...]] = {
    "print": ("server/cli/",),
    "os.environ": (
        "server/cli/doctor.py",  # hands it to load_config, to look at what a server would find
        "server/cli/liveness.py",  # hands it to load_config, to find the port that is asked
        "server/cli/main.py",  # whether a shell asks for a completion
        "server/cli/supervise.py",  # hands it to load_config
        "server/cli/registry_config.py",  # the same, for verbs that need no server
        "server/cli/client.py",  # which server is meant, and its token
        "server/cli/place.py",  # the same, for commands that read its files
        "server/cli/run_directories.py",  # the run directory of the server that is meant
        "runtimes/telemetry.py",  # switches it off for libraries, which have no argument for it
        "server/retrain/targets/secret.py",  # the configuration names a variable, not its content
        "server/isolation/environment.py",  # a child inherits it, less what is the server's own
        "server/processes/run_directory.py",  # where the system keeps temporary files
    ),
    "os.environb": (),
    "os.getenv": (),
    "time.sleep": (),
    "asyncio.sleep": (),
    "time.time": (
        "monitoring/metrics/metrics.py",  # when a process started, for people
        "server/processes/http_server.py",  # the date header
        "server/cli/supervise.py",  # when the supervisor said something
    ),
    "time.time_ns": ("monitoring/metrics/metrics.py",),  # part of an incarnation's name
    "datetime.datetime.now": (
        "server/control/control.py",  # handed to the audit log
    ),
    "datetime.datetime.utcnow": (),
}


def references(source: Any) -> Iterator[tuple[int, str]]:
    """Dotted names in use with their lines, import aliases resolved.

    The default of an argument is not a use: that is how the outside world is handed in.
    """
    origin: dict[str, str] = {}
    for node in source.nodes:
        if isinstance(node, ast.Import):
            origin |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            origin |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    injected = {
        id(default)
        for node in source.nodes
        if isinstance(node, ast.arguments)
        for default in (*node.defaults, *node.kw_defaults)
    }
    for node in source.nodes:
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in injected:
            head, _, rest = ast.unparse(node).partition(".")
            yield node.lineno, f"{origin.get(head, head)}.{rest}".rstrip(".")


def leaks(tree: Any) -> list[str]:
    """Uses outside their seams."""
    return sorted(
        {
            f"{source.path}:{line} {name}"
            for source in tree.sources(*SERVING)
            for line, name in references(source)
            if name in SEAMS and not source.path.as_posix().startswith(SEAMS[name] or ("//",))
        }
    )


def test_the_outside_world_comes_by_argument(project: Any) -> None:
    assert leaks(project) == []


def test_every_seam_is_in_use(project: Any) -> None:
    used = {
        (name, place)
        for source in project.sources(*SERVING)
        for _, name in references(source)
        for place in SEAMS.get(name, ())
        if source.path.as_posix().startswith(place)
    }
    assert {(name, place) for name, places in SEAMS.items() for place in places} == used


@pytest.mark.parametrize(
    "text",
    [
        "print('hello')",
        "import os\nHOME = os.environ['HOME']",
        "from os import environ\nHOME = environ['HOME']",
        "import time\ntime.sleep(1)",
        "from time import sleep as wait\nwait(1)",
        "import time as clock\nclock.time()",
        "import time\nclock = time.time",
        "import asyncio\nasync def f():\n    await asyncio.sleep(0)",
        "from datetime import datetime, UTC\ndatetime.now(UTC)",
    ],
)
def test_a_leak_is_found(plant: Callable[..., Any], text: str) -> None:
    assert len(leaks(plant({"batching/a.py": text}))) == 1


def test_seams_and_look_alikes_pass(plant: Callable[..., Any]) -> None:
    tree = plant(
        {
            "server/cli/a.py": "print('a table')",
            "server/cli/supervise.py": "import os\nload_config(os.environ)",
            "batching/a.py": "import time\ntime.monotonic()\nself.time.sleep(1)\ntable.print()",
            "batching/b.py": "import time\ndef f(sleep=time.sleep, *, now=time.time): ...",
            "loadtests/a.py": "import time\ntime.sleep(1)\nprint(1)",
        }
    )
    assert leaks(tree) == []
