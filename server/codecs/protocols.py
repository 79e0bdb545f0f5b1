"""Which codec serves a prediction path, by its protocol and the headers of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

from penstock.server.errors import InvalidRequest, UnsupportedMediaType

from .negotiate import JSON, codec_for
from .sized_json import SIZED, header_size
from .v1 import CLASSIFY, INVOCATIONS, INVOCATIONS_CSV, REGRESS, ROWS, ROWS_PLAIN

if TYPE_CHECKING:
    from .negotiate import Codec

#: The protocols of prediction paths.
TENSORS: Final = "infer"
CLASSIFY_EXAMPLES: Final = "classify"
REGRESS_EXAMPLES: Final = "regress"
INVOKE: Final = "invocations"

_OF_JSON: Final[dict[str, Codec]] = {
    CLASSIFY_EXAMPLES: CLASSIFY,
    REGRESS_EXAMPLES: REGRESS,
    INVOKE: INVOCATIONS,
}
_CSV: Final = b"text/csv"


def usual_codec(protocol: str) -> Codec:
    """The codec of a body of JSON without options."""
    return _OF_JSON.get(protocol, JSON if protocol == TENSORS else ROWS)


def codec_of(
    protocol: str, content_type: bytes | None, json_length: int | None, query: bytes
) -> tuple[Codec, int | None]:
    """The codec for a request, and the size of the JSON at the beginning of its body.

    Args:
        protocol: That of the path.
        content_type: Value of ``Content-Type``, or ``None`` without one, which means JSON.
        json_length: Value of ``Inference-Header-Content-Length``, or ``None``.
        query: Query of the URL; ``format=tensors`` asks ``:predict`` for plain arrays.

    Raises:
        UnsupportedMediaType: The content type is not spoken here.
        InvalidRequest: A part of rows is said to be binary, or another format is asked for.
    """
    if protocol == TENSORS:
        return codec_for(content_type, json_length), json_length
    if protocol == INVOKE:
        size = header_size(content_type or b"")
        if size is not None:
            return SIZED[_media_type(content_type)], size
    if json_length is not None:
        raise InvalidRequest("rows have no binary part: leave out inference-header-content-length")
    if protocol == INVOKE and _media_type(content_type) == _CSV:
        codec_for(b"application/json" + (content_type or b"")[len(_CSV) :], None)  # the charset
        return INVOCATIONS_CSV, None
    if codec_for(content_type, None) is not JSON:
        spoken = "application/json or text/csv" if protocol == INVOKE else "application/json"
        raise UnsupportedMediaType(f"rows are sent as {spoken}")
    return _OF_JSON.get(protocol) or _predict_codec(query), None


def _media_type(content_type: bytes | None) -> bytes:
    return (content_type or b"").partition(b";")[0].strip().lower()


def _predict_codec(query: bytes) -> Codec:
    wanted = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("format", ["rows"])
    if wanted == ["tensors"]:
        return ROWS_PLAIN
    if wanted != ["rows"]:
        raise InvalidRequest(f"format={wanted[-1][:40]} is unknown; expected rows or tensors")
    return ROWS
