"""In which of a few formats a scraper wants the metrics."""

from __future__ import annotations

from typing import Final

#: Accept headers, each of which prometheus-client answers in another format.
OPENMETRICS: Final = "application/openmetrics-text;version=1.0.0"
TEXT_1: Final = "text/plain;version=1.0.0"
TEXT: Final = "text/plain;version=0.0.4"


def scrape_format(accept: str) -> str:
    """The format for an Accept header: one of three, so that an answer can be kept for each.

    No number in the header is read, so none can be too long.

    Args:
        accept: As sent; the first format in it that is spoken here is taken, else `TEXT`.
    """
    for item in accept.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        version = next((one[8:] for one in parameters if one.startswith("version=")), "")
        if name == "application/openmetrics-text" and version.split(".")[0] in {"", "1"}:
            return OPENMETRICS
        if name == "text/plain" and version.split(".")[0] == "1":
            return TEXT_1
    return TEXT
