"""How pages look: one style sheet, light and dark, on screens and on paper."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Final

from markupsafe import Markup

from .renderer import FOLDER

#: The style sheet; it stands in each page, in an element ``style``.
STYLE: Final = Markup(  # noqa: S704 - a file of the package
    (Path(__file__).parent / FOLDER / "style.css").read_text()
)

_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

#: What a page may do: show itself. It is in the page, too, where it also binds a saved file.
SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
