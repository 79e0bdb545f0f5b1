"""Files are replaced in one way: by `penstock.monitoring.files.atomic_file`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: Who else renames, and why.
RENAMES = {
    "monitoring/files/atomic_file.py": "it is the writer",
    "monitoring/databases.py": "a damaged database is moved aside, with its journal",
    "monitoring/metrics/metrics.py": "a counter file is mapped and locked before it has its name",
    "monitoring/prediction_log/seal.py": "a directory gets its name",
    "server/batch_job/job_directory.py": "a kill leaves the draft among the parts, not beside them",
    "server/cli/single_model.py": "a directory gets its name when it is locked",
    "server/config/log_privacy.py": "the first process to make the key wins, so a link is made",
    "server/desired_state/state_file.py": "a damaged state is moved aside",
    "server/processes/pulse.py": "a pulse is mapped before it has its name",
    "server/processes/run_directory.py": "a directory gets its name",
    "server/registry/private_copy.py": "a directory gets its name",
    "server/registry/publish.py": "a directory gets its name",
    "server/store/replica.py": "a directory gets its name",
}
ROOMS = ("server", "monitoring", "batching", "runtimes")


def renamers(tree: Any) -> list[str]:
    """Files that rename a file: `Path.replace` has one argument, that of a text has two."""
    return sorted(
        {
            str(source.path)
            for source in tree.sources(*ROOMS)
            for node in source.nodes
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and (
                (node.func.attr == "rename" and len(node.args) == 1)
                or (node.func.attr == "replace" and len(node.args) == 1 and not node.keywords)
                or (
                    node.func.attr in {"rename", "replace", "link"}
                    and isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "os"
                )
            )
        }
    )


def test_only_one_file_replaces_files(project: Any) -> None:
    assert set(renamers(project)) == set(RENAMES)


def test_another_writer_is_found(plant: Callable[..., Any]) -> None:
    tree = plant(
        {
            "server/a.py": "draft.replace(path)",
            "server/b.py": "import os\nos.replace(a, b)",
            "monitoring/c.py": "draft.rename(path)",
            "server/d.py": "'text'.replace('a', 'b'); replace(x, y=1); x.replace(y=1)",
        }
    )
    assert renamers(tree) == ["monitoring/c.py", "server/a.py", "server/b.py"]
