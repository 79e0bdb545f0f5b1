"""Which ``Content-Type`` a request must have.

A web page may send some requests to any server without asking it first: those whose content type is
of a form, or text/plain, or missing. Such a request must change nothing and predict nothing. With
any other content type the browser asks first, and the answer here is no.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.server.errors import UnsupportedMediaType

if TYPE_CHECKING:
    from collections.abc import Collection

JSON: Final = "application/json"
MSGPACK: Final = ("application/msgpack", "application/x-msgpack", "application/vnd.msgpack")
#: Sent by browsers with each request of a page that is no GET; programs leave them out.
BROWSER_HEADERS: Final = frozenset((b"origin", b"sec-fetch-site"))

_FORM: Final = "application/x-www-form-urlencoded"
_MAX_SHOWN: Final = 80


def media_type(content_type: str | None) -> str:
    """The type without parameters, in lower case; empty if none is given."""
    return (content_type or "").partition(";")[0].strip().lower()


def check_media_type(
    content_type: str | None, spoken: Collection[str], *, missing: bool = False
) -> str:
    """The media type of a body, one of those that are spoken.

    Args:
        content_type: Content type of the request.
        spoken: The first of them is named in the error.
        missing: Whether a body without a content type is taken, too.

    Raises:
        UnsupportedMediaType: It is another one, or none.
    """
    given = media_type(content_type)
    if given in spoken or (missing and not given):
        return given
    shown = repr(given[:_MAX_SHOWN]) if given else "missing"
    expected = " or ".join(list(spoken)[:2])
    raise UnsupportedMediaType(f"content-type is {shown}, expected {expected}{curl_hint(given)}")


def curl_hint(given: str) -> str:
    """What a person with curl has to add, where that is what is wrong."""
    return f"; with curl add -H 'content-type: {JSON}'" if given in {"", _FORM} else ""
