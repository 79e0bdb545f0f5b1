"""An OpenVINO IR: a description in XML, and weights beside it. Checked before the library reads it.

The format: <https://docs.openvino.ai/latest/documentation/openvino-ir-format.html>.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from penstock.runtimes.contract import ModelLoadError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES: Final = 256 << 20
_MAX_DEPTH: Final = 64
_PIECE_BYTES: Final = 1 << 20


def check_file(path: Path, weights: Path) -> None:
    """Refuse a description that is none, or that uses weights that are not there.

    Raises:
        ModelLoadError: It is refused; the message says why.
    """
    try:
        size = path.stat().st_size
        room = weights.stat().st_size if weights.is_file() else 0
        if size > MAX_BYTES:
            raise ModelLoadError(f"{path} has {size} bytes, at most {MAX_BYTES} are read")
        reader = _Reader(room)
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                reader.feed(piece)
        reader.end()
    except OSError as error:
        raise ModelLoadError(f"cannot read {path}: {error.strerror or error}") from error
    except (expat.ExpatError, ValueError, KeyError) as error:
        raise ModelLoadError(f"{path} is no OpenVINO model: {error}") from error


class _Reader:
    def __init__(self, room: int) -> None:
        self._room = room
        self._depth = 0
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._leave
        self._parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, piece: bytes) -> None:
        self._parser.Parse(piece, False)  # noqa: FBT003  its only form

    def end(self) -> None:
        self._parser.Parse(b"", True)  # noqa: FBT003  as above

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {_MAX_DEPTH}")
        if self._depth == 1 and name != "net":
            raise ValueError(f"its root is {name!r}, expected 'net'")
        if name == "data" and "offset" in attributes and "size" in attributes:
            begin, size = int(attributes["offset"]), int(attributes["size"])
            if begin < 0 or size < 0 or begin + size > self._room:
                raise ValueError(
                    f"a constant lies at bytes {begin} to {begin + size} of the weights, which "
                    f"have {self._room}"
                )

    def _leave(self, _: str) -> None:
        self._depth -= 1

    def _refuse(self, *_: object) -> None:
        raise ValueError("it declares a document type, which no model has")
