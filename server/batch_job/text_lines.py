"""The lines of a text file, with the offset behind each, so that reading can go on from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .job_failed import JobFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

#: Bytes in one line; a longer one is no row.
MAX_LINE_BYTES: Final = 16 << 20
_BOM: Final = b"\xef\xbb\xbf"


class TextLines:
    """An iterator over the lines of a file, line ends included. Use as a context manager.

    Bytes that are not UTF-8 become lone surrogates, which no row can hold: its reader refuses it.

    Args:
        path: Path of the file.
        offset: Where to begin, in bytes.

    Attributes:
        offset: Offset of the next line.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        self._file = path.open("rb", buffering=1 << 18)
        self._file.seek(offset)
        self.offset = offset

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line.

        Raises:
            JobFailed: It is too long for a row.
            StopIteration: There is none.
        """
        line = self._file.readline(MAX_LINE_BYTES + 1)
        if not line:
            raise StopIteration
        if len(line) > MAX_LINE_BYTES:
            raise JobFailed(
                f"{self._path}: the line at byte {self.offset} has more than "
                f"{MAX_LINE_BYTES >> 20} MiB; expected one line for each row"
            )
        start, self.offset = self.offset, self.offset + len(line)
        if not start:
            line = line.removeprefix(_BOM)
        return line.decode("utf-8", "surrogateescape")


def is_text(value: str) -> bool:
    """Whether a text was UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
