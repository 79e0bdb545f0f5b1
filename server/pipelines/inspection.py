"""Whether the files of a pipeline may be used: they are data, and say which versions run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.server.files.listing import list_files
from penstock.server.files.refusal import ModelRefused
from penstock.server.files.safe_files import open_directory
from penstock.server.onnx_file.inspection import MODEL_FILE, check_plain_files

from .pins import read_pipeline
from .pipeline_file import PIPELINE_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.server.files.roots import Roots


def inspect_pipeline(directory: Path, roots: Roots | None = None) -> None:
    """Look for what is wrong with the files of a pipeline, without its steps.

    Args:
        directory: Directory of the version.
        roots: Directories in which it must lie, and links in it may end; by default no link is
            followed.

    Raises:
        ModelRefused: With everything that is wrong.
        OSError: A file cannot be read.
    """
    with open_directory(directory, roots) as root:
        paths = [fact.path for fact in list_files(root)]
        reasons = check_plain_files(root, paths)
    if any(path == MODEL_FILE or path.startswith(f"{MODEL_FILE}/") for path in paths):
        reasons.append(f"there is a {MODEL_FILE} beside {PIPELINE_FILE}, expected one of them")
    if reasons:
        raise ModelRefused(*reasons)
    read_pipeline(directory, roots)
