"""The mark of a segment field whose values are those of a request header."""

from __future__ import annotations

from typing import Final

#: The name of such a field begins with it; the name of the header follows.
HEADER: Final = "header:"
