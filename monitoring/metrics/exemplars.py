"""A trace for each bucket of the latency histogram, so that a slow bucket leads to a slow request.

The process that traces writes its exemplars to a file; the process that renders the metrics reads
the files of all. Source: https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from penstock.monitoring.files.atomic_file import replace_file

if TYPE_CHECKING:
    from pathlib import Path

#: How these files end.
ENDING: Final = ".exemplars"
#: Models and versions of one process with exemplars; with more, new ones have none.
_MAX_BLOCKS: Final = 1000
_MAX_BYTES: Final = 8 << 20
#: Id of the trace, seconds, and when that was, in Unix seconds.
Exemplar = tuple[str, float, float]
#: Exemplars by bucket, by model and version.
_Blocks = dict[str, dict[str, dict[int, Exemplar]]]


class ExemplarFile:
    """The exemplars of one process.

    Args:
        path: Path of their file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._blocks: _Blocks = {}
        self._size = 0
        self._changed = False

    def keep(self, model: str, version: str, bucket: int, exemplar: Exemplar) -> None:
        """Keep an exemplar in place of the last one of this bucket.

        Args:
            model: Name of the model.
            version: Its version.
            bucket: Position in the histogram.
            exemplar: The exemplar.
        """
        versions = self._blocks.setdefault(model, {})
        if version not in versions:
            if self._size >= _MAX_BLOCKS:
                return
            self._size += 1
        versions.setdefault(version, {})[bucket] = exemplar
        self._changed = True

    def write(self) -> None:
        """Write the file if an exemplar is new.

        Raises:
            OSError: It cannot be written.
        """
        if self._changed:
            replace_file(self._path, msgspec.msgpack.encode(self._blocks), synced=False)
            self._changed = False


def read_exemplars(directory: Path) -> dict[tuple[str, str], dict[int, Exemplar]]:
    """The latest exemplar of each bucket, by model and version.

    Args:
        directory: Of the files; what cannot be read is passed over.
    """
    found: dict[tuple[str, str], dict[int, Exemplar]] = {}
    decoder = msgspec.msgpack.Decoder(_Blocks)
    for path in sorted(directory.glob(f"*{ENDING}")):
        try:
            if path.stat().st_size > _MAX_BYTES:
                continue
            blocks = decoder.decode(path.read_bytes())
        except (OSError, msgspec.MsgspecError):
            continue
        for model, versions in blocks.items():
            for version, buckets in versions.items():
                kept = found.setdefault((model, version), {})
                for bucket, exemplar in buckets.items():
                    if bucket not in kept or kept[bucket][2] < exemplar[2]:
                        kept[bucket] = exemplar
    return found
