"""Copies of versions, hashed and inspected once for each load, before anything opens them.

A version is tried in a process of its own and then loaded by the worker. Both use one check of its
copy: the worker makes it before the trial, and when the load begins it lists the files again. The
check still holds if each file has the name, the size and the time of change (``ctime``) that it had
before it was hashed.

Proof that this is enough: Linux sets ``ctime`` to the present at each change of the content, the
mode, the name or the number of links of a file, and no call sets it to anything else. So a file
that was changed or exchanged after the listing before the hash has a ``ctime`` that is not earlier
than that listing, less the tick of the kernel's clock. A check is kept only if all files were
`SETTLED_SECONDS` old at that listing, which is many ticks; so an equal ``ctime`` is that of an
unchanged file. Files that are younger are hashed again for the load: the slow way.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from penstock.runtimes.onnx import OnnxRuntime
from penstock.server.files.listing import list_files
from penstock.server.files.roots import OWN
from penstock.server.files.safe_files import open_directory
from penstock.server.onnx_file.inspection import inspect_version
from penstock.server.pipelines.inspection import inspect_pipeline
from penstock.server.pipelines.pipeline_runtime import PLATFORM
from penstock.server.registry.manifest import digest_of
from penstock.server.registry.verification import hash_files

from .memory_estimate import estimate
from .version_runtime import runtime_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from penstock.runtimes.contract import Runtime
    from penstock.server.files.listing import FileFact
    from penstock.server.files.roots import Roots
    from penstock.server.onnx_file.inspection import InspectionLimits

#: How old the files of a copy must be for a check of it to be kept. The clock of Linux's file
#: times ticks every 1 to 10 ms.
SETTLED_SECONDS: Final = 0.1
#: Versions that are tried and wait for their load; of more, the oldest check is made again.
MAX_KEPT: Final = 64

#: Directory, digest, and platform, as `CheckedCopies.check` has them.
_Key = tuple["Path", str, "str | None"]


class CheckedCopies:
    """Checks copies, and keeps a check from the trial of a version until its load.

    Its methods may be called by several threads at once.

    Args:
        wall_clock: Nanoseconds since 1970.
        limits: Limits of the inspection.
    """

    def __init__(
        self, wall_clock: Callable[[], int] = time.time_ns, limits: InspectionLimits | None = None
    ) -> None:
        self.limits = limits
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._kept: dict[_Key, tuple[list[FileFact], int]] = {}

    def check(self, copy: Path, digest: str, platform: str | None, *, keep: bool) -> int | None:
        """Hash and inspect a copy; uses up the check that was kept of it, if that still holds.

        Args:
            copy: Directory that only the server uses.
            digest: Expected digest of its files.
            platform: Platform of the runtime that loads it; ``None`` for the runtime that
                finds a model file.
            keep: Whether to keep the check for the next call.

        Returns:
            How many bytes of memory loading it takes; ``None`` if its files are others.

        Raises:
            ModelLoadError: It must not be loaded, or no runtime can.
            OSError: A file cannot be read or written.
        """
        key = copy, digest, platform
        with self._lock:
            known = self._kept.pop(key, None)
        files = _files(copy)
        if known is not None and known[0] == files:
            size = known[1]
        else:
            began = self._wall_clock()
            if digest_of(hash_files(copy, OWN)) != digest:
                return None
            size = needed_bytes(runtime_of(copy, platform)[0], copy, self.limits)
            newest = max((one.changed_ns for one in files), default=0)
            keep = keep and began - newest >= SETTLED_SECONDS * 1e9
        if keep:
            with self._lock:
                self._kept[key] = files, size
                while len(self._kept) > MAX_KEPT:
                    del self._kept[next(iter(self._kept))]
        return size


def needed_bytes(
    runtime: Runtime, place: Path, limits: InspectionLimits | None, roots: Roots = OWN
) -> int:
    """The bytes of memory that loading a version takes; an ONNX model is inspected for that.

    Raises:
        ModelRefused: It must not be loaded.
    """
    if runtime.platform == OnnxRuntime.platform:
        return estimate(inspect_version(place, limits, roots))
    if runtime.platform == PLATFORM:
        inspect_pipeline(place, roots)
        return 0  # the steps are versions of their own
    return 2 * sum(one.size for one in _files(place, roots))


def _files(place: Path, roots: Roots = OWN) -> list[FileFact]:
    with open_directory(place, roots) as folder:
        return list_files(folder)
